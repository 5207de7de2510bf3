import pytest

LABEL = {"column": "paid"}


def test_rows_for_which_a_condition_is_true_are_dropped(run_prepare, all_rows, trips):
    prepared = run_prepare(trips, LABEL, [{"drop": "fare < 10", "because": "too short"}])
    assert prepared.counts.by_rule == {1: 80}
    assert prepared.counts.kept == 320
    assert min(all_rows()["fare"].to_pylist()) == 10


def test_a_condition_that_is_null_keeps_the_row(run_prepare, trips):
    prepared = run_prepare(trips, LABEL, [{"drop": "company = 'c1'", "because": "test"}])
    assert prepared.counts.by_rule == {1: sum(c == "c1" for c in trips["company"])}


def test_a_column_gets_a_new_value(run_prepare, all_rows, trips):
    rule = {"set": "company", "sql": "coalesce(company, 'none')", "because": "unknown"}
    prepared = run_prepare(trips, LABEL, [rule])
    assert prepared.counts.by_rule == {1: 80}
    assert sorted(set(all_rows()["company"].to_pylist())) == ["c0", "c1", "c2", "none"]


def test_rules_apply_in_their_order(run_prepare, trips):
    rules = [
        {"drop": "fare < 10", "because": "a"},
        {"set": "fare", "sql": "fare - 10", "because": "b"},
        {"drop": "fare < 10", "because": "c"},
    ]
    assert run_prepare(trips, LABEL, rules).counts.by_rule == {1: 80, 2: 320, 3: 80}


def test_a_rule_is_not_computed_on_rows_that_an_earlier_one_dropped(run_prepare, trips):
    trips["fare_text"] = ["free" if fare < 10 else str(fare) for fare in trips["fare"]]
    rules = [
        {"drop": "fare_text = 'free'", "because": "no number"},
        {"set": "fare_text", "sql": "CAST(fare_text AS DOUBLE)", "because": "number"},
    ]
    assert run_prepare(trips, LABEL, rules).counts.by_rule == {1: 80, 2: 0}


def test_a_rule_that_drops_most_rows_warns(run_prepare, trips):
    findings = run_prepare(trips, LABEL, [{"drop": "fare < 30", "because": "test"}]).findings
    assert (findings.verdict, findings.reasons) == (
        "warn",
        ["cleaning rule 1 drops 240 of 400 rows (60.0 %)"],
    )


def test_rules_that_drop_all_rows_block(run_prepare, rows, trips):
    findings = run_prepare(trips, LABEL, [{"drop": "true", "because": "test"}]).findings
    assert findings.verdict == "block"
    assert findings.blocks == ("no row is left of 400: cleaning dropped 400, the label is missing in 0",)
    assert rows("train").num_rows == 0
    assert rows("train").column_names == ["id", "fare", "tips", "company", "at", "paid"]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            {"drop": "far < 1"},
            'cleaning rule 1, drop: Binder Error: Referenced column "far" not found in FROM clause! '
            'Candidate bindings: "fare", "paid"',
        ),
        ({"drop": "fare <"}, 'cleaning rule 1, drop: Parser Error: syntax error at or near ")"'),
        (
            {"drop": "true) FROM data; DROP VIEW data; SELECT (1"},
            "cleaning rule 1, drop: expected exactly one SELECT, and nothing else",
        ),
        (
            {"set": "fare", "sql": "CAST(company AS INTEGER)"},
            "cleaning rule 1, sql: Conversion Error: Could not convert string 'c1' to INT32 "
            "when casting from source column company",
        ),
        (
            {"set": "fare", "sql": "[fare]"},
            "cleaning rule 1, sql: the value is nested (DOUBLE[]), expected a plain one",
        ),
        (
            {"set": "fares", "sql": "1"},
            "cleaning rule 1: set 'fares' is no column of the data; did you mean 'fare'?",
        ),
        ({"set": "fare"}, "cleaning rule 1: give drop alone, or set together with sql"),
        (
            {"drop": "true", "set": "fare", "sql": "1"},
            "cleaning rule 1: give drop alone, or set together with sql",
        ),
        ({"dorp": "true"}, "cleaning rule 1: unknown key 'dorp', expected drop, set, sql, because"),
    ],
)
def test_wrong_rules(fault, trips, rule, sentence):
    assert fault(trips, LABEL, [rule | {"because": "test"}]) == sentence


def test_the_rule_that_fails_is_named(fault, trips):
    rules = [
        {"drop": "fare < 1", "because": "a"},
        {"drop": "CAST(company AS INTEGER) = 1", "because": "b"},
    ]
    assert fault(trips, LABEL, rules).startswith("cleaning rule 2, drop: Conversion Error: ")


def test_a_rule_cannot_read_files(fault, trips):
    rule = {"drop": "(SELECT count(*) FROM read_text('/etc/hostname')) = 1", "because": "test"}
    assert fault(trips, LABEL, [rule]) == (
        'cleaning rule 1, drop: Permission Error: Cannot access file "/etc/hostname" - '
        "file system operations are disabled by configuration"
    )
