import pytest


def spec(prepared):
    return prepared.spec.parameter()


def test_a_condition_is_binary_with_positive_true(run_prepare, all_rows, trips):
    prepared = run_prepare(trips, {"name": "big_tip", "sql": "tips > 0.2 * fare"})
    assert spec(prepared) == {
        "name": "big_tip",
        "task": "binary",
        "classes": ["false", "true"],
        "positive": "true",
    }
    table = all_rows()
    expected = [
        "true" if t > 0.2 * f else "false"
        for t, f in zip(table["tips"].to_pylist(), table["fare"].to_pylist(), strict=True)
    ]
    assert table["big_tip"].to_pylist() == expected
    assert table.column_names == [*trips, "big_tip"]


@pytest.mark.parametrize(
    ("values", "task", "classes", "positive"),
    [
        (["a", "b", "b"], "binary", ["a", "b"], "a"),
        (["Yes", "no", "no"], "binary", ["Yes", "no"], "Yes"),
        (["f", "T"], "binary", ["T", "f"], "T"),
        ([0, 1, 1], "binary", ["0", "1"], "1"),
        ([3, 7, 7], "binary", ["3", "7"], "3"),
        ([0.0, 1.0], "binary", ["0", "1"], "1"),
        ([True, False], "binary", ["false", "true"], "true"),
        (["a", "b", "c"], "multiclass", ["a", "b", "c"], ""),
        ([1, 2, 3], "multiclass", ["1", "2", "3"], ""),
        (list(range(20)), "multiclass", sorted(map(str, range(20))), ""),
        (list(range(21)), "regression", [], ""),
        ([0.5, 1.0], "regression", [], ""),
        ([1.0, 2.0, 3.0], "regression", [], ""),
        ([f"c{i:02d}" for i in range(50)], "multiclass", [f"c{i:02d}" for i in range(50)], ""),
    ],
)
def test_the_task_follows_from_the_values(run_prepare, values, task, classes, positive):
    n = 50 * len(values)
    prepared = run_prepare(
        {"i": list(range(n)), "y": [values[i % len(values)] for i in range(n)]}, {"column": "y"}
    )
    assert spec(prepared) == {"name": "y", "task": task, "classes": classes, "positive": positive}


def test_the_positive_class_is_the_one_that_is_asked_for(run_prepare, trips):
    assert spec(run_prepare(trips, {"column": "paid", "positive": "no"}))["positive"] == "no"


def test_a_numeric_label_is_written_as_a_number(run_prepare, all_rows):
    prepared = run_prepare(
        {"i": list(range(100)), "y": list(range(100))}, {"column": "y", "task": "regression"}
    )
    assert spec(prepared) == {"name": "y", "task": "regression", "classes": [], "positive": ""}
    assert str(all_rows().schema.field("y").type) == "double"


def test_a_class_is_written_as_text(run_prepare, all_rows):
    run_prepare({"i": list(range(100)), "y": [i % 2 for i in range(100)]}, {"column": "y"})
    assert str(all_rows().schema.field("y").type) == "string"
    assert sorted(set(all_rows()["y"].to_pylist())) == ["0", "1"]


def test_a_column_under_another_name_stays(run_prepare, all_rows, trips):
    run_prepare(trips, {"name": "target", "column": "paid"})
    assert all_rows().column_names == [*trips, "target"]


def test_sql_may_replace_the_column_of_its_name(run_prepare, all_rows, trips):
    run_prepare(trips, {"name": "paid", "sql": "paid"})
    assert all_rows().column_names == ["id", "fare", "tips", "company", "at", "paid"]


def test_nan_and_infinity_are_missing_in_a_numeric_label(run_prepare):
    values = [float("nan"), float("inf"), *(float(i) for i in range(98))]
    prepared = run_prepare(
        {"i": list(range(100)), "y": values}, {"column": "y", "task": "regression", "max_missing": 0.05}
    )
    assert (prepared.counts.label_missing, prepared.counts.kept, prepared.findings.verdict) == (2, 98, "pass")


def test_missing_labels_within_the_limit_are_dropped(run_prepare, all_rows, trips):
    trips["paid"][0] = None
    trips["paid"][1] = ""
    prepared = run_prepare(trips, {"column": "paid", "max_missing": 0.005})
    assert (prepared.counts.label_missing, prepared.findings.verdict) == (2, "pass")
    assert all_rows().num_rows == 398


def test_missing_labels_beyond_the_limit_block(run_prepare, trips):
    trips["paid"][:3] = [None] * 3
    findings = run_prepare(trips, {"column": "paid", "max_missing": 0.005}).findings
    assert (findings.verdict, findings.reasons) == (
        "block",
        ["the label 'paid' is missing in 3 of 400 rows (0.8 %), label.max_missing allows 0.5 %"],
    )


def test_a_single_class_blocks(run_prepare, rows, trips):
    prepared = run_prepare(trips | {"paid": ["no"] * 400}, {"column": "paid"})
    assert prepared.findings.reasons == [
        "the label 'paid' has a single class, 'no', in all 400 rows: there is nothing to learn"
    ]
    assert prepared.findings.verdict == "block"
    assert rows("train").num_rows > 0


def test_a_condition_that_is_never_true_blocks(run_prepare, trips):
    findings = run_prepare(trips, {"name": "y", "sql": "fare < 0"}).findings
    assert findings.reasons == [
        "the label 'y' has a single class, 'false', in all 400 rows: there is nothing to learn"
    ]


def test_a_single_number_blocks(run_prepare):
    findings = run_prepare(
        {"i": list(range(50)), "y": [1.5] * 50}, {"column": "y", "task": "regression"}
    ).findings
    assert findings.reasons == ["the label 'y' has a single value in all 50 rows: there is nothing to learn"]


def test_one_row_blocks(run_prepare, rows):
    findings = run_prepare({"x": [1], "y": ["a"]}, {"column": "y"}).findings
    assert findings.reasons == [
        "only 1 row is left of 1, at least 10 are needed",
        "the label 'y' has a single class, 'a', in the only row: there is nothing to learn",
    ]
    assert sum(rows(name).num_rows for name in ("train", "validation", "test")) == 1


def test_an_all_missing_label_blocks(run_prepare):
    findings = run_prepare({"x": list(range(20)), "y": [None] * 20}, {"column": "y"}).findings
    assert findings.reasons == [
        "the label 'y' is missing in 20 of 20 rows (100.0 %), label.max_missing allows 0.0 %",
        "no row is left of 20: cleaning dropped 0, the label is missing in 20",
    ]


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ({"column": "payed"}, "label.column 'payed' is no column of the data; did you mean 'paid'?"),
        (
            {"name": "y", "sql": "tip > 1"},
            'label.sql: Binder Error: Referenced column "tip" not found in FROM clause! Candidate bindings: "tips", "paid"',
        ),
        ({"name": "y", "sql": "fare >"}, 'label.sql: Parser Error: syntax error at or near ")"'),
        (
            {"name": "y", "sql": "[fare]"},
            "the label 'y' holds nested values (DOUBLE[]): expected a plain one",
        ),
        (
            {"name": "y", "sql": "CAST(company AS INTEGER)"},
            "label.sql: Conversion Error: Could not convert string 'c1' to INT32 "
            "when casting from source column company",
        ),
        (
            {"name": "Fare", "sql": "tips > 1"},
            "label.name 'Fare' is the name of a column of the data: give the label another",
        ),
        (
            {"name": "fare", "column": "paid"},
            "label.name 'fare' is the name of a column of the data: give the label another",
        ),
        (
            {"column": "paid", "positive": "Yes"},
            "label.positive is 'Yes', the classes of 'paid' are 'no' and 'yes'; did you mean 'yes'?",
        ),
        (
            {"column": "id"},
            "the label 'id' is text with more than 50 values: group them with label.sql, "
            "or set label.task to multiclass",
        ),
        (
            {"column": "fare", "task": "binary"},
            "label.task is binary but the label 'fare' has 50 classes ('0', '1', '10', '11', '12', ...): "
            "use multiclass, or a condition in label.sql",
        ),
        (
            {"column": "paid", "task": "regression"},
            "label.task is regression but the label 'paid' is text, not a number",
        ),
        (
            {"name": "y", "sql": "fare > 1", "task": "regression"},
            "label.task is regression but the label 'y' is a boolean, not a number",
        ),
        ({"name": "y"}, "label: give exactly one of column and sql"),
        ({"sql": "fare > 1"}, "label.name is missing: a label made by sql needs a name"),
        (
            {"column": "paid", "task": "ranking"},
            "label.task is 'ranking': expected one of auto, binary, multiclass, regression",
        ),
        ({"column": "paid", "max_missing": 2}, "label.max_missing is 2: expected a share from 0 to 1"),
        (
            {"column": "paid", "colum": "x"},
            "label.colum is unknown: expected one of name, column, sql, task, positive, max_missing",
        ),
        ({"column": 5}, "label.column is 5: expected a text"),
    ],
)
def test_wrong_labels(fault, trips, label, sentence):
    assert fault(trips, label) == sentence


def test_more_than_a_thousand_classes(fault):
    columns = {"y": [f"c{i}" for i in range(1001)]}
    assert fault(columns, {"column": "y", "task": "multiclass"}) == (
        "the label 'y' has more than 1000 classes: group them with label.sql, or use a number and task regression"
    )


def test_far_more_than_a_thousand_classes(fault):
    columns = {"y": [f"c{i}" for i in range(20_000)]}
    assert fault(columns, {"column": "y", "task": "multiclass"}) == (
        "the label 'y' has more than 1000 classes: group them with label.sql, or use a number and task regression"
    )
