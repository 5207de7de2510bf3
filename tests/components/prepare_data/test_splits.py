import hashlib

import pytest

from penstock.components.duckdb_session.session import connect
from penstock.components.prepare_data import preparation

LABEL = {"column": "y"}


@pytest.fixture
def people():
    """Return 300 entities with 10 rows each, in turn."""
    n = 3000
    return {
        "who": [f"p{i % 300}" for i in range(n)],
        "x": list(range(n)),
        "y": ["ab"[i * 7919 % 2] for i in range(n)],
    }


def test_an_entity_is_in_one_split_only(run_prepare, rows, people):
    run_prepare(people, LABEL, split={"key": ["who"]})
    who = [set(rows(name)["who"].to_pylist()) for name in ("train", "validation", "test")]
    assert [len(a & b) for a, b in ((who[0], who[1]), (who[0], who[2]), (who[1], who[2]))] == [0, 0, 0]
    assert sum(map(len, who)) == 300


def test_the_split_is_the_one_that_the_formula_gives(run_prepare, rows, people):
    run_prepare(people, LABEL, split={"key": ["who"], "validation": 0.2, "test": 0.1, "salt": "s"})

    def side(who):
        share = int(hashlib.md5(f"s:{len(who)}:{who}".encode()).hexdigest()[:8], 16) / 2**32
        return "test" if share < 0.1 else "validation" if share < 0.3 else "train"

    for name in ("train", "validation", "test"):
        assert set(rows(name)["who"].to_pylist()) == {w for w in set(people["who"]) if side(w) == name}


def test_shares_are_about_as_asked_for(run_prepare, people):
    counts = run_prepare(people, LABEL, split={"validation": 0.2, "test": 0.1}).counts
    # Binomial(3000, p): 5 standard deviations are 110 and 82 rows.
    assert abs(counts.split_rows["validation"] - 600) < 110
    assert abs(counts.split_rows["test"] - 300) < 82
    assert counts.kept == 3000


def test_another_salt_gives_another_split(run_prepare, rows, people):
    run_prepare(people, LABEL, split={"key": ["who"]})
    first = set(rows("test")["who"].to_pylist())
    run_prepare(people, LABEL, split={"key": ["who"], "salt": "again"})
    assert set(rows("test")["who"].to_pylist()) != first


def test_equal_rows_stay_together_without_a_key(run_prepare, rows):
    columns = {"x": [i % 100 for i in range(1000)], "y": ["ab"[i % 2] for i in range(1000)]}
    run_prepare(columns, LABEL)
    values = [set(rows(name)["x"].to_pylist()) for name in ("train", "validation", "test")]
    assert sum(map(len, values)) == 100


def test_missing_keys_are_an_entity_of_their_own(run_prepare, rows, people):
    people["who"] = [None if i % 2 else "-" for i in range(3000)]
    run_prepare(people | {"who2": people["x"]}, LABEL, split={"key": ["who", "who2"]})
    run_prepare(people, LABEL, split={"key": ["who"], "salt": "3"})
    sides = {w: name for name in ("train", "validation", "test") for w in set(rows(name)["who"].to_pylist())}
    assert set(sides) == {None, "-"}


def test_rows_keep_their_order(run_prepare, rows, people):
    run_prepare(people, LABEL)
    for name in ("train", "validation", "test"):
        x = rows(name)["x"].to_pylist()
        assert x == sorted(x)


def test_by_time_the_oldest_train_and_the_newest_test(run_prepare, rows):
    times = [i * 7919 % 1000 for i in range(1000)]  # each once, shuffled
    columns = {"t": times, "y": ["ab"[i % 2] for i in range(1000)]}
    run_prepare(columns, LABEL, split={"by": "time", "validation": 0.2, "test": 0.1}, event_time="t")
    assert sorted(rows("train")["t"].to_pylist()) == list(range(700))
    assert sorted(rows("validation")["t"].to_pylist()) == list(range(700, 900))
    assert sorted(rows("test")["t"].to_pylist()) == list(range(900, 1000))


def test_by_time_rows_of_the_same_time_stay_together(run_prepare, rows):
    times = [0.5] * 60 + [1.5] * 25 + [2.5] * 15
    columns = {"t": times, "y": ["ab"[i % 2] for i in range(100)]}
    run_prepare(columns, LABEL, split={"by": "time", "validation": 0.2, "test": 0.2}, event_time="t")
    assert [set(rows(n)["t"].to_pylist()) for n in ("train", "validation", "test")] == [
        {0.5},
        set(),
        {1.5, 2.5},
    ]


def test_by_time_rows_without_a_time_are_dropped(run_prepare):
    columns = {"t": [None, *range(99)], "y": ["ab"[i % 2] for i in range(100)]}
    prepared = run_prepare(columns, LABEL, split={"by": "time"}, event_time="t")
    assert prepared.counts.kept == 99
    assert prepared.findings.reasons == ["1 row without an event time is dropped: the split is by time"]


def test_an_empty_split_blocks(run_prepare):
    columns = {"who": ["a"] * 40, "y": ["ab"[i % 2] for i in range(40)]}
    findings = run_prepare(columns, LABEL, split={"key": ["who"]}).findings
    assert findings.verdict == "block"
    assert findings.reasons == [
        f"the {name} split is empty: with 40 rows, too many share one entity or one time, "
        "or the split's share is too small"
        for name in ("train", "validation", "test")
        if name != "train"
    ]


def by_time(run_prepare, labels):
    columns = {"t": list(range(100)), "y": labels}
    return run_prepare(
        columns, LABEL, split={"by": "time", "validation": 0.2, "test": 0.2}, event_time="t"
    ).findings


def test_a_class_that_train_lacks_blocks(run_prepare):
    findings = by_time(run_prepare, ["a", "b"] * 30 + ["c", "a", "b", "c"] * 10)
    assert (findings.verdict, findings.reasons) == (
        "block",
        ["the train split has no row of class 'c' of the label 'y': it cannot be learned"],
    )


def test_a_class_that_test_lacks_blocks_a_binary_label(run_prepare):
    findings = by_time(run_prepare, ["a", "b"] * 40 + ["a"] * 20)
    assert (findings.verdict, findings.reasons) == (
        "block",
        ["the test split has no row of class 'b' of the label 'y': nothing can be measured on it"],
    )


def test_classes_that_test_lacks_warn_for_several_classes(run_prepare):
    findings = by_time(run_prepare, ["a", "b", "c", "d"] * 20 + ["a", "b"] * 10)
    assert (findings.verdict, findings.reasons) == (
        "warn",
        ["the test split has no row of 2 classes ('c', 'd') of the label 'y': it is not measured there"],
    )


def test_a_class_with_one_row_in_a_split_warns(run_prepare):
    findings = by_time(run_prepare, ["a", "b"] * 40 + ["a"] * 19 + ["b"])
    assert (findings.verdict, findings.reasons) == (
        "warn",
        ["the test split has a single row of class 'b' of the label 'y'"],
    )


@pytest.mark.parametrize("split", [{"key": ["who"]}, {"by": "time", "key": []}])
def test_one_and_two_threads_give_the_same_bytes(run_prepare, tmp_path, people, monkeypatch, split):
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(preparation, "connect", lambda scratch, n=threads: connect(scratch, n))
        run_prepare(people, LABEL, [{"drop": "x % 7 = 0", "because": "test"}], split, event_time="x")
        names = ("train", "validation", "test")
        found.append([p.read_bytes() for n in names for p in sorted((tmp_path / n).iterdir())])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"split": {"key": ["hwo"]}}, "split.key 'hwo' is no column of the data; did you mean 'who'?"),
        ({"split": {"by": "week"}}, "split.by is 'week': expected entity or time"),
        (
            {"split": {"validation": 0.6, "test": 0.5}},
            "split.validation is 0.6 and split.test is 0.5: both must be above 0 and leave something to train",
        ),
        ({"split": {"test": "a"}}, "split.test is 'a': expected a number"),
        ({"split": {"keys": []}}, "split.keys is unknown: expected one of by, key, validation, test, salt"),
        (
            {"split": {"by": "time"}},
            "split.by is time but data.event_time is empty: name the column with the event time",
        ),
        (
            {"split": {"by": "time"}, "event_time": "whom"},
            "event_time 'whom' is no column of the data; did you mean 'who'?",
        ),
        (
            {"split": {"by": "time"}, "event_time": "who"},
            "split.by is time but 'who' is not a number: extract_data makes it one",
        ),
        ({"weight": "w"}, "weight 'w' is no column of the data"),
        ({"weight": "who"}, "weight 'who' is not a number: name a column of positive numbers"),
        (
            {"weight": "x"},
            "weight 'x' is missing in 0 rows and not positive in 1: drop or set them with a cleaning rule",
        ),
    ],
)
def test_wrong_settings(fault, people, settings, sentence):
    assert fault(people, LABEL, **settings) == sentence


def test_a_missing_weight(fault, people):
    people["w"] = [None, float("nan"), -1.0, *([1.0] * 2997)]
    assert fault(people, LABEL, weight="w") == (
        "weight 'w' is missing in 1 rows and not positive in 2: drop or set them with a cleaning rule"
    )


def test_weights_of_dropped_rows_do_not_count(run_prepare, people):
    assert (
        run_prepare(people, LABEL, [{"drop": "x = 0", "because": "test"}], weight="x").findings.verdict
        == "pass"
    )
