LABEL = {"column": "y"}
HINT = "if it is a feature, check that it is known before the event"


def binary(n=400):
    return {"x": [i * 7919 % n for i in range(n)], "y": ["no" if i % 4 else "yes" for i in range(n)]}


def test_a_number_that_tells_the_label_is_named(run_prepare):
    columns = binary()
    columns["refund"] = [float(i) if y == "yes" else -float(i) for i, y in enumerate(columns["y"], 1)]
    prepared = run_prepare(columns, LABEL)
    assert prepared.leaks == [f"'refund' alone tells the label (AUC 1.000 on 400 rows): {HINT}"]
    assert prepared.findings.verdict == "pass"


def test_a_number_that_tells_the_label_the_other_way_round_is_named(run_prepare):
    columns = binary()
    columns["refund"] = [0.0 if y == "yes" else 1.0 + i % 5 for i, y in enumerate(columns["y"])]
    assert run_prepare(columns, LABEL).leaks == [
        f"'refund' alone tells the label (AUC 1.000 on 400 rows): {HINT}"
    ]


def test_a_number_that_hints_at_the_label_is_not_named(run_prepare):
    columns = binary()
    columns["hint"] = [i % 10 + 5 * (y == "yes") for i, y in enumerate(columns["y"])]
    assert run_prepare(columns, LABEL).leaks == []


def test_a_category_that_tells_the_label_is_named(run_prepare):
    columns = binary()
    columns["state"] = [f"{'won' if y == 'yes' else 'lost'}{i % 3}" for i, y in enumerate(columns["y"])]
    assert run_prepare(columns, LABEL).leaks == [
        f"'state' alone tells the label (purity 1.000 on 400 rows): {HINT}"
    ]


def test_an_id_is_not_named(run_prepare):
    columns = binary()
    columns["id"] = [f"t{i}" for i in range(400)]
    assert run_prepare(columns, LABEL).leaks == []


def test_a_category_that_is_only_as_good_as_the_commonest_class_is_not_named(run_prepare):
    columns = {
        "x": [f"c{i % 3}" for i in range(1000)],
        "y": ["yes" if i % 250 == 0 else "no" for i in range(1000)],
    }
    columns["i"] = list(range(1000))
    split = {"validation": 0.3, "test": 0.3}
    assert run_prepare(columns, LABEL, split=split).leaks == []


def test_a_number_that_is_the_label_is_named_for_regression(run_prepare):
    columns = {"y": [float(i * i) for i in range(200)], "copy": [2.0 * i * i + 1 for i in range(200)]}
    assert run_prepare(columns, LABEL | {"task": "regression"}).leaks == [
        f"'copy' alone tells the label (correlation 1.000): {HINT}"
    ]


def test_few_rows_are_not_judged(run_prepare):
    columns = {
        "x": [float(i % 2) for i in range(99)],
        "y": ["ab"[i % 2] for i in range(99)],
        "i": list(range(99)),
    }
    assert run_prepare(columns, LABEL).leaks == []
