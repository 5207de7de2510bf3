from penstock.components.prepare_data.report import make_page


def test_the_page_shows_verdict_counts_classes_and_rules(run_prepare, trips):
    rule = {"drop": "fare < 10", "because": "no <trip>"}
    page = make_page(run_prepare(trips, {"column": "paid"}, [rule])).render()
    for text in (
        "320 of 400 rows are ready to train and to measure a model",
        "<code>drop where fare &lt; 10</code>",
        "no &lt;trip&gt;",
        "Train: share of each class",
        "By a hash of the whole row",
    ):
        assert text in page


def test_the_page_shows_every_finding_of_a_blocked_run(run_prepare, trips):
    page = make_page(
        run_prepare(trips, {"column": "paid"}, [{"drop": "fare > 0", "because": "test"}])
    ).render()
    assert "Blocked" in page
    assert "only 8 rows are left of 400, at least 10 are needed" in page
    assert "cleaning rule 1 drops 392 of 400 rows (98.0 %)" in page


def test_the_page_shows_the_spread_of_a_number(run_prepare):
    columns = {"i": list(range(100)), "y": [float(i) for i in range(100)]}
    page = make_page(run_prepare(columns, {"column": "y", "task": "regression"})).render()
    assert "Values of y by split" in page
    assert "Median" in page


def test_the_page_of_no_rows_can_be_written(run_prepare):
    page = make_page(run_prepare({"y": [None, None]}, {"column": "y"})).render()
    assert "no row is left of 2" in page


def test_many_classes_fold_away(run_prepare):
    columns = {"i": list(range(900)), "y": [f"c{i % 30:02d}" for i in range(900)]}
    assert "All 30 classes" in make_page(run_prepare(columns, {"column": "y"})).render()


def test_the_page_shows_possible_leaks_without_changing_the_verdict(run_prepare):
    columns = {
        "x": [i % 2 for i in range(400)],
        "i": list(range(400)),
        "y": ["ab"[i % 2] for i in range(400)],
    }
    prepared = run_prepare(columns, {"column": "y"})
    assert "Columns that may give the label away" in make_page(prepared).render()
    assert prepared.findings.verdict == "pass"
