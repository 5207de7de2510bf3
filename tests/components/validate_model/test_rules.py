import pytest

from penstock.components.validate_model.evaluation import Evaluation, Group
from penstock.components.validate_model.rules import judge, reasons_of, to_json, verdict_of
from penstock.components.validate_model.thresholds import Measure, read_thresholds

MEASURES = {"auc": Measure(True, 0.0, 1.0), "log_loss": Measure(False, 0.0)}
NOTHING = {"value": None, "low": None, "high": None}


def estimate(value, low, high):
    return {"value": value, "low": low, "high": high}


AUC = estimate(0.871, 0.855, 0.886)
LOG_LOSS = estimate(0.412, 0.390, 0.436)


def group(
    name="all rows", by=(), rows=1190, auc=AUC, log_loss=LOG_LOSS, difference=None, champion=None, note=""
):
    challenger = {"auc": auc, "log_loss": log_loss}
    return Group(name, by, rows, note, challenger, champion or {}, difference or {})


def evaluation(overall=None, slices=(), version="", note=""):
    return Evaluation("auc", version, note, 0.95, MEASURES, overall or group(), list(slices))


def judged(found, **section):
    section = {"improvement": {"rule": "off"}} | section
    return judge(found, read_thresholds(section, found.measures, found.primary))


def sentences(rules):
    return [rule.sentence for rule in rules]


# Limits


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"auc": {"min": 0.75}}, "auc 0.871 (0.855 to 0.886, 1,190 rows) is at least 0.75: pass"),
        ({"auc": {"min": 0.9}}, "auc 0.871 (0.855 to 0.886, 1,190 rows) is below 0.9: block"),
        ({"auc": {"min": 0.871}}, "auc 0.871 (0.855 to 0.886, 1,190 rows) is at least 0.871: pass"),
        ({"log_loss": {"max": 0.5}}, "log_loss 0.412 (0.390 to 0.436, 1,190 rows) is at most 0.5: pass"),
        ({"log_loss": {"max": 0.4}}, "log_loss 0.412 (0.390 to 0.436, 1,190 rows) is above 0.4: block"),
    ],
)
def test_limit_is_held_against_the_estimate(limits, sentence):
    assert sentences(judged(evaluation(), metrics=limits)) == [sentence]


def test_limit_that_rounding_would_hide_is_shown_with_more_digits():
    close = evaluation(group(auc=estimate(0.74996, 0.74, 0.76)))
    assert sentences(judged(close, metrics={"auc": {"min": 0.75}})) == [
        "auc 0.74996 (0.740 to 0.760, 1,190 rows) is below 0.75: block"
    ]


def test_limit_of_an_undefined_metric_blocks():
    empty = evaluation(group(auc=NOTHING, rows=30, note="one class only"))
    assert sentences(judged(empty, metrics={"auc": {"min": 0.75}})) == [
        "auc is undefined on 30 rows (one class only), but is to be at least 0.75: block"
    ]


def test_no_threshold_passes_and_says_so():
    rules = judged(evaluation())
    assert sentences(rules) == ["no threshold is set, so that nothing is judged: pass"]
    assert verdict_of(rules) == "pass"


# Improvement over the champion


def against(difference, metric="auc", champion=0.859):
    both = {"auc": NOTHING, "log_loss": NOTHING} | {metric: difference}
    old = {"auc": NOTHING, "log_loss": NOTHING} | {
        metric: estimate(champion, champion - 0.01, champion + 0.01)
    }
    return evaluation(group(difference=both, champion=old), version="3")


@pytest.mark.parametrize(
    ("rule", "difference", "ending"),
    [
        (
            {"rule": "better"},
            estimate(0.012, 0.004, 0.020),
            "an improvement of +0.012 (+0.004 to +0.020, 1,190 rows) lies wholly above 0: pass",
        ),
        (
            {"rule": "better"},
            estimate(0.006, -0.002, 0.014),
            "an improvement of +0.006 (-0.002 to +0.014, 1,190 rows) does not lie wholly above 0: block",
        ),
        (
            {"rule": "better", "margin": 0.005},
            estimate(0.012, 0.004, 0.020),
            "an improvement of +0.012 (+0.004 to +0.020, 1,190 rows) does not lie wholly above 0.005: block",
        ),
        (
            {"rule": "not_worse", "margin": 0.01},
            estimate(0.001, -0.007, 0.009),
            "an improvement of +0.001 (-0.007 to +0.009, 1,190 rows) lies wholly above -0.01: pass",
        ),
        (
            {"rule": "not_worse", "margin": 0.01},
            estimate(-0.011, -0.019, -0.003),
            "an improvement of -0.011 (-0.019 to -0.003, 1,190 rows) does not lie wholly above -0.01: block",
        ),
    ],
)
def test_improvement_is_judged_by_the_bound_of_the_paired_interval(rule, difference, ending):
    assert sentences(judged(against(difference), improvement=rule)) == [
        f"auc 0.871 against 0.859 of champion 3: {ending}"
    ]


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(estimate(-0.02, -0.03, -0.01), "pass"), (estimate(0.02, 0.01, 0.03), "block")],
)
def test_improvement_of_a_loss_is_a_fall(difference, verdict):
    found = against(difference, "log_loss", 0.432)
    rules = judged(found, improvement={"rule": "better", "metric": "log_loss"})
    assert verdict_of(rules) == verdict


def test_improvement_without_an_interval_blocks():
    found = against(NOTHING)
    assert sentences(judged(found, improvement={"rule": "better"})) == [
        "auc 0.871 against 0.859 of champion 3: no interval of the improvement can be given on 1,190 rows: block"
    ]


def test_better_is_the_rule_when_none_is_set():
    found = against(estimate(0.0, -0.01, 0.01))
    assert verdict_of(judge(found, read_thresholds({}, MEASURES, "auc"))) == "block"


def test_first_run_has_nothing_to_improve_on():
    rules = judged(evaluation(), improvement={"rule": "better"})
    assert sentences(rules) == ["there is no champion to compare with: pass"]


def test_champion_that_could_not_be_scored_warns():
    found = evaluation(version="3", note="champion 3 cannot be scored on this data: it needs 'fare'")
    rules = judged(found, improvement={"rule": "better"})
    assert sentences(rules) == [
        "nothing is compared with a champion: champion 3 cannot be scored on this data: it needs 'fare': warn"
    ]
    assert verdict_of(rules) == "warn"


# Slices


def piece(name, rows, drop=None, auc=AUC, by=("pay",)):
    difference = (
        None
        if drop is None
        else {"auc": estimate(*(None if d is None else -d for d in (drop[0], drop[2], drop[1])))}
    )
    return group(f"{by[0]} = {name}", by, rows, auc, difference=difference)


def test_slices_within_the_largest_drop_pass():
    found = evaluation(
        slices=[piece("Cash", 320, (0.011, 0.001, 0.021)), piece("Card", 870, (-0.03, -0.04, -0.02))],
        version="3",
    )
    assert sentences(judged(found, slices={"max_drop": 0.02})) == [
        "auc on none of 2 judged slices is worse than champion 3's by more than 0.02; the largest drop is 0.011 "
        "(0.001 to 0.021, 320 rows) on pay = Cash: pass"
    ]


def test_slice_that_is_surely_worse_blocks():
    found = evaluation(
        slices=[piece("Cash", 320, (0.050, 0.020, 0.080)), piece("Card", 870, (0.01, -0.01, 0.03))],
        version="3",
    )
    rules = judged(found, slices={"max_drop": 0.02})
    assert sentences(rules) == [
        "auc on pay = Cash is worse than champion 3's by 0.050 (0.020 to 0.080, 320 rows), more than 0.02: block"
    ]
    assert (rules[0].slice, rules[0].value, rules[0].limit, rules[0].rows) == ("pay = Cash", 0.05, 0.02, 320)


def test_slice_that_may_be_worse_by_chance_warns():
    found = evaluation(slices=[piece("Cash", 120, (0.050, -0.010, 0.110))], version="3")
    rules = judged(found, slices={"max_drop": 0.02})
    assert sentences(rules) == [
        "auc on pay = Cash is worse than champion 3's by 0.05 (-0.01 to 0.11, 120 rows), more than 0.02, though "
        "the interval includes no drop: warn"
    ]


def test_slice_without_an_interval_warns():
    found = evaluation(slices=[piece("Cash", 120, (0.050, None, None))], version="3")
    rules = judged(found, slices={"max_drop": 0.02})
    assert sentences(rules) == [
        "auc on pay = Cash is worse than champion 3's by 0.050 (120 rows), more than 0.02, though so few rows have "
        "no interval: warn"
    ]


def test_slice_with_few_rows_is_reported_but_not_judged():
    found = evaluation(
        slices=[piece("Cash", 99, (0.5, 0.4, 0.6)), piece("Card", 100, (0, 0, 0))], version="3"
    )
    rules = judged(found, slices={"max_drop": 0.02, "min_rows": 100})
    assert verdict_of(rules) == "pass"
    assert sentences(rules)[1] == (
        "1 slice is reported but not judged, with fewer than 100 rows or auc undefined: pay = Cash (99 rows): pass"
    )


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (
            0.2,
            "auc spreads by 0.15 across pay, from pay = Cash 0.750 (0.730 to 0.770, 320 rows) to pay = Card 0.900 "
            "(0.880 to 0.920, 870 rows), at most 0.2: pass",
        ),
        (
            0.1,
            "auc spreads by 0.15 across pay, from pay = Cash 0.750 (0.730 to 0.770, 320 rows) to pay = Card 0.900 "
            "(0.880 to 0.920, 870 rows), more than 0.1: block",
        ),
    ],
)
def test_spread_across_slices_has_a_limit(limit, sentence):
    found = evaluation(
        slices=[
            piece("Cash", 320, auc=estimate(0.75, 0.73, 0.77)),
            piece("Card", 870, auc=estimate(0.90, 0.88, 0.92)),
        ]
    )
    assert sentences(judged(found, slices={"max_spread": limit})) == [sentence]


def test_spread_that_may_be_chance_warns():
    found = evaluation(
        slices=[
            piece("Cash", 120, auc=estimate(0.75, 0.65, 0.85)),
            piece("Card", 870, auc=estimate(0.90, 0.84, 0.96)),
        ]
    )
    rules = judged(found, slices={"max_spread": 0.1})
    assert verdict_of(rules) == "warn"
    assert sentences(rules)[0].endswith("more than 0.1, though their intervals overlap: warn")


def test_spread_is_judged_within_one_slicing():
    found = evaluation(
        slices=[
            piece("Cash", 500, auc=estimate(0.75, 0.73, 0.77)),
            piece("7", 500, auc=estimate(0.90, 0.88, 0.92), by=("hour",)),
        ]
    )
    assert sentences(judged(found, slices={"max_spread": 0.1})) == [
        "auc can be judged on a single slice of pay, so that there is no spread: pass",
        "auc can be judged on a single slice of hour, so that there is no spread: pass",
    ]


# Verdict and reasons


def test_reasons_are_what_does_not_pass_with_blocks_first():
    found = evaluation(
        slices=[piece("Cash", 120, (0.05, -0.01, 0.11)), piece("Card", 870, (0.05, 0.04, 0.06))], version="3"
    )
    rules = judged(found, metrics={"auc": {"min": 0.75}}, slices={"max_drop": 0.02})
    assert [sentence.split(" is worse")[0] for sentence in reasons_of(rules)] == [
        "auc on pay = Card",
        "auc on pay = Cash",
    ]
    assert verdict_of(rules) == "block"


def test_reasons_are_at_most_twenty():
    slices = [piece(f"c{i:02d}", 200, (0.05 + i / 1000, 0.04, 0.2)) for i in range(30)]
    rules = judged(evaluation(slices=slices, version="3"), slices={"max_drop": 0.02})
    assert len(reasons_of(rules)) == 20
    assert reasons_of(rules)[0].startswith("auc on pay = c29")
    assert reasons_of(rules)[-1] == "and 11 more, in the report"


def test_json_holds_each_rule_with_its_numbers():
    assert to_json(judged(evaluation(), metrics={"auc": {"min": 0.75}})) == {
        "verdict": "pass",
        "rules": [
            {
                "name": "auc min",
                "verdict": "pass",
                "sentence": "auc 0.871 (0.855 to 0.886, 1,190 rows) is at least 0.75: pass",
                "metric": "auc",
                "slice": "",
                "value": 0.871,
                "limit": 0.75,
                "rows": 1190,
            }
        ],
    }
