import duckdb
import pytest

from penstock.components.extract_data.columns import of_query

NAMES = ["id", "Fare", "trip miles", "at"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT id FROM source", ["id"]),
        ("SELECT fare FROM source WHERE id > 1", ["id", "Fare"]),
        ("SELECT count(*) AS n FROM source", []),
        ("SELECT s.at.lat FROM source s ORDER BY id", ["id", "at"]),
        ('WITH x AS (SELECT "trip miles" AS m FROM source) SELECT m FROM x', ["trip miles"]),
        ("SELECT a.id FROM source a JOIN source b USING (fare)", ["id", "Fare"]),
        ("SELECT sum(id) OVER (PARTITION BY fare) FROM source", ["id", "Fare"]),
        (
            'SELECT id FROM source WHERE fare IN (SELECT "trip miles" FROM source)',
            ["id", "Fare", "trip miles"],
        ),
        ("SELECT * FROM source", NAMES),
        ("SELECT * EXCLUDE (id) FROM source", NAMES),
        ("FROM source", NAMES),
        ("SELECT COLUMNS('i.*') FROM source", NAMES),
        ("SELECT hash(source) FROM source", NAMES),
        ("SELECT s::VARCHAR FROM source s", NAMES),
        ("SELECT (s).id FROM (SELECT id FROM source) s", ["id"]),
        ("SELECT #1 FROM source", NAMES),
        ("SELECT id FROM source NATURAL JOIN source t", NAMES),
        ("UNPIVOT source ON id, fare INTO NAME n VALUE v", NAMES),
        ("PIVOT source ON id USING sum(fare)", NAMES),
    ],
)
def test_the_columns_that_a_query_may_read(query, expected):
    with duckdb.connect() as connection:
        assert of_query(connection, query, NAMES) == expected
