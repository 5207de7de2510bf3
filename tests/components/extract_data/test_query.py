import pytest


@pytest.fixture
def trips(write):
    return write("trips.csv", "fare,tips,company\n10,1,A\n20,5,B\n30,,A\n")


def test_a_query_reads_the_table_source(read, trips):
    table = read(
        trips, query="SELECT company, sum(fare) AS fares FROM source GROUP BY company ORDER BY company;"
    )
    assert table.to_pydict() == {"company": ["A", "B"], "fares": [40.0, 20.0]}


def test_a_query_may_end_in_a_comment(read, trips):
    assert read(trips, query="FROM source WHERE fare > 10 -- no short trips").num_rows == 2


def test_the_order_that_a_query_asks_for_is_kept(read, trips):
    assert read(trips, query="SELECT fare FROM source ORDER BY fare DESC")["fare"].to_pylist() == [30, 20, 10]


def test_try_cast_gives_null_for_what_is_no_number(read, trips):
    table = read(trips, query="SELECT TRY_CAST(company AS INTEGER) AS c FROM source")
    assert table["c"].to_pylist() == [None, None, None]


def test_dates_of_a_query_become_seconds(read, trips):
    table = read(trips, query="SELECT DATE '1970-01-02' AS d, fare > 10 AS long FROM source LIMIT 1")
    assert table.to_pydict() == {"d": [86400], "long": [False]}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "SELECT fares FROM source",
            'data.query: Binder Error: Referenced column "fares" not found in FROM clause! Candidate bindings: "fare"',
        ),
        ("SELEC fare FROM source", 'data.query: Parser Error: syntax error at or near "SELEC"'),
        ("SELECT 1; SELECT 2", "data.query: expected exactly one SELECT, and nothing else"),
        ("DROP VIEW source", "data.query: expected exactly one SELECT, and nothing else"),
        (
            "SELECT * FROM source WHERE fare > 100",
            "data.query gives no rows from 'trips.csv': check its conditions",
        ),
        (
            "SELECT CAST(company AS INTEGER) AS c FROM source",
            "data.query: Conversion Error: Could not convert string 'A' to INT32 when casting from source column company",
        ),
        (
            "SELECT [fare] AS fares FROM source",
            "column 'fares' of 'trips.csv' holds nested values (BIGINT[]): take them apart with data.query",
        ),
    ],
)
def test_wrong_queries(fault, trips, query, sentence):
    assert fault(trips, query=query) == sentence


@pytest.mark.parametrize("function", ["read_text", "read_csv", "glob"])
def test_a_query_cannot_read_other_files(fault, trips, write, function):
    write("secret.csv", "a\n1\n")
    other = trips.replace("trips", "secret")
    assert fault(trips, query=f"SELECT * FROM {function}('{other}')") == (
        'data.query: Permission Error: Cannot access file "secret.csv" - '
        "file system operations are disabled by configuration"
    )


def test_a_query_cannot_see_python_variables(fault, trips):
    assert fault(trips, query="SELECT * FROM types").startswith(
        "data.query: Catalog Error: Table with name types"
    )


def test_a_query_is_deterministic(run_extract, write):
    path = write("a.csv", "k,v\n" + "".join(f"{i * 7919 % 1000},{i / 7}\n" for i in range(20_000)))
    query = "SELECT k, avg(v) AS v, random() AS r FROM source GROUP BY k"
    assert run_extract(path, query=query) == run_extract(path, query=query)


def test_a_query_that_fails_late_is_told(fault, write):
    path = write("a.csv", "v\n" + "1\n" * 300_000 + "x\n")
    assert fault(path, query="SELECT CAST(v AS INTEGER) AS v FROM source") == (
        "data.query: Conversion Error: Could not convert string 'x' to INT32 when casting from source column v"
    )
