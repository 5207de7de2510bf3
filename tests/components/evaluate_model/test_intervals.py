"""Intervals: against a plain bootstrap, against each other, and against what they promise."""

import numpy as np
import pytest
from sklearn import metrics as sk

from penstock.components.evaluate_model import bootstrap, intervals, ranking, weights
from penstock.components.evaluate_model.outcomes import MEASURES
from penstock.components.evaluate_model.scorers import SCORERS
from penstock.components.row_slices.slices import everything
from tests.components.evaluate_model import samples


def overall(outcome, scored, champion=None, **settings):
    models = {"challenger": scored} | ({"champion": champion} if champion else {})
    return intervals.estimate(outcome, models, [everything(outcome.rows)], **settings)[0][0]


def bounds(estimates, metric):
    return estimates[metric]["low"], estimates[metric]["high"]


def test_weights_have_mean_and_variance_one():
    drawn = weights.draw(1000, 1000, (1,))
    assert drawn.mean() == pytest.approx(1, abs=0.005)
    assert drawn.var() == pytest.approx(1, abs=0.01)
    shares = np.bincount(drawn.astype(int).ravel(), minlength=6) / drawn.size
    assert shares == pytest.approx(np.array(weights.SHARES) / 256, abs=0.002)


def test_weights_of_rows_and_of_resamples_are_independent():
    drawn = weights.draw(400, 2000, (3,))
    between_rows = np.corrcoef(drawn) - np.eye(400)
    assert np.abs(between_rows).max() < 6 / np.sqrt(2000)
    assert not np.array_equal(drawn, weights.draw(400, 2000, (4,)))


def test_bootstrap_equals_scikit_learn_on_the_same_weights():
    outcome, scored = samples.binary(150, decimals=2, weighted=True)
    scorer = SCORERS["binary"](outcome, scored, everything(150), tuple(MEASURES["binary"]))
    found = bootstrap.resample([scorer.statistic([0], np.arange(150))], 150, 60, seed=7)[0]
    counts = weights.draw(150, 61, (7, 0, 0))
    counts[:, 0] = 1
    for r in range(61):
        w = outcome.weights * counts[:, r]
        y, p, called = outcome.codes, scored.scores, scored.predicted
        expected = [
            sk.roc_auc_score(y, p, sample_weight=w),
            sk.average_precision_score(y, p, sample_weight=w),
            sk.log_loss(y, p, sample_weight=w),
            sk.brier_score_loss(y, p, sample_weight=w),
            sk.accuracy_score(y, called, sample_weight=w),
            sk.precision_score(y, called, sample_weight=w),
            sk.recall_score(y, called, sample_weight=w),
            sk.f1_score(y, called, sample_weight=w),
        ]
        assert found[0, :, r] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("threshold", [0.5, 0.0, 2.0, None])
def test_confusion_of_resamples_is_right_whatever_the_label_follows(threshold):
    outcome, scored = samples.binary(2500)
    by_chance = np.random.default_rng(4).integers(0, 2, 2500)
    predicted = by_chance if threshold is None else scored.scores >= threshold
    scored = type(scored)(scored.scores, predicted.astype(np.int32))
    scorer = SCORERS["binary"](outcome, scored, everything(2500), ("auc", "accuracy", "recall"))
    found = bootstrap.resample([scorer.statistic([0], np.arange(2500))], 2500, 5, seed=1)[0]
    counts = weights.draw(2500, 6, (1, 0, 0))
    for r in range(1, 6):
        w = counts[:, r]
        expected = [
            sk.accuracy_score(outcome.codes, scored.predicted, sample_weight=w),
            sk.recall_score(outcome.codes, scored.predicted, sample_weight=w),
        ]
        assert found[0, 1:, r] == pytest.approx(expected, abs=1e-6)


def test_bootstrap_of_classes_and_numbers_equals_scikit_learn_on_the_same_weights():
    outcome, scored = samples.multiclass(120, 3)
    scorer = SCORERS["multiclass"](outcome, scored, everything(120), tuple(MEASURES["multiclass"]))
    many = bootstrap.resample([scorer.statistic([0], np.arange(120))], 120, 20, seed=1)[0]
    numbers, predicted = samples.regression(120)
    scorer = SCORERS["regression"](numbers, predicted, everything(120), tuple(MEASURES["regression"]))
    few = bootstrap.resample([scorer.statistic([0], np.arange(120))], 120, 20, seed=1)[0]
    counts = weights.draw(120, 21, (1, 0, 0))
    for r in range(1, 21):
        w, y, p = counts[:, r], outcome.codes, scored.scores
        expected = [
            sk.accuracy_score(y, scored.predicted, sample_weight=w),
            sk.log_loss(y, p, sample_weight=w, labels=range(3)),
            sk.f1_score(y, scored.predicted, average="macro", sample_weight=w),
            np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(3)]),
        ]
        assert many[0, :, r] == pytest.approx(expected, abs=2e-6)
        y, p = numbers.values, predicted.scores
        expected = [
            sk.root_mean_squared_error(y, p, sample_weight=w),
            sk.mean_absolute_error(y, p, sample_weight=w),
            sk.r2_score(y, p, sample_weight=w),
        ]
        assert few[0, :, r] == pytest.approx(expected, rel=1e-5)


def test_slices_and_champion_use_the_weights_of_all_rows(monkeypatch):
    outcome, scored = samples.binary(200)
    slicing = samples.by_random_groups(200, 2)
    names = ("auc",)
    order = np.arange(200)
    whole = SCORERS["binary"](outcome, scored, slicing, names)
    together = bootstrap.resample(
        [whole.statistic([0, 1], order), whole.statistic([1], order)], 200, 50, seed=2
    )
    np.testing.assert_array_equal(together[0][1], together[1][0])
    monkeypatch.setattr(bootstrap, "MOST_ENTRIES", 1)  # each statistic in a batch of its own
    apart = bootstrap.resample([whole.statistic([0, 1], order), whole.statistic([1], order)], 200, 50, seed=2)
    np.testing.assert_array_equal(together[0], apart[0])


def test_rows_in_several_chunks_add_up(monkeypatch):
    outcome, scored = samples.binary(500)
    scorer = SCORERS["binary"](outcome, scored, everything(500), ("auc", "log_loss"))
    monkeypatch.setattr(bootstrap, "ROWS_AT_ONCE", 200)
    found = bootstrap.resample([scorer.statistic([0], np.arange(500))], 500, 5, seed=0)[0]
    counts = np.concatenate(
        [weights.draw(n, 6, (0, 0, start)) for n, start in ((200, 0), (200, 200), (100, 400))]
    )
    expected = [
        sk.roc_auc_score(outcome.codes, scored.scores, sample_weight=counts[:, r]) for r in range(1, 6)
    ]
    assert found[0, 0, 1:] == pytest.approx(expected, abs=2e-6)


def test_same_seed_gives_the_same_intervals_and_another_seed_others():
    outcome, scored = samples.binary(400)
    first, again, other = (overall(outcome, scored, resamples=200, seed=s) for s in (3, 3, 4))
    assert first == again
    assert bounds(first.challenger, "auc") != bounds(other.challenger, "auc")


def test_difference_is_paired():
    outcome, scored = samples.binary(1000)
    group = overall(outcome, scored, samples.noisy(scored, noise=0.2))
    width = np.diff(bounds(group.difference, "auc"))[0]
    alone = [np.diff(bounds(m, "auc"))[0] for m in (group.challenger, group.champion)]
    assert width < 0.5 * min(alone)
    value = group.challenger["auc"]["value"] - group.champion["auc"]["value"]
    assert group.difference["auc"]["value"] == pytest.approx(value, abs=1e-12)


def test_difference_of_a_model_with_itself_is_zero_with_certainty():
    outcome, scored = samples.binary(300)
    group = overall(outcome, scored, scored)
    assert all(e == {"value": 0.0, "low": 0.0, "high": 0.0} for e in group.difference.values())


def test_bins_change_bounds_by_less_than_the_noise_of_resampling(monkeypatch):
    outcome, scored = samples.binary(6000, base=0.1, weighted=True)
    champion = samples.noisy(scored)
    binned = overall(outcome, scored, champion, metrics=("auc", "pr_auc"), resamples=300)
    monkeypatch.setattr(ranking, "MOST_EXACT_RUNS", 10_000)
    exact = overall(outcome, scored, champion, metrics=("auc", "pr_auc"), resamples=300)
    for which in ("challenger", "champion", "difference"):
        for metric, part in (("auc", 0.005), ("pr_auc", 0.02)):
            a, b = (np.array(bounds(getattr(g, which), metric)) for g in (binned, exact))
            assert a == pytest.approx(b, abs=part * (b[1] - b[0])), (which, metric)


@pytest.mark.parametrize("make", [samples.binary, samples.multiclass, samples.regression])
@pytest.mark.parametrize("weighted", [False, True])
def test_analytic_intervals_agree_with_the_bootstrap(make, weighted):
    outcome, scored = make(6_000, weighted=weighted)
    _, champion = make(6_000, seed=1)
    champion = (
        samples.noisy(scored)
        if outcome.task == "binary"
        else type(scored)(scored.scores * 0.9 + champion.scores * 0.1, scored.predicted)
    )
    boot = overall(outcome, scored, champion, resamples=10_000)
    formula = overall(outcome, scored, champion, analytic_entries=0)
    for which in ("challenger", "champion", "difference"):
        for metric in MEASURES[outcome.task]:
            a, b = (np.array(bounds(getattr(g, which), metric)) for g in (boot, formula))
            # 0.15 standard errors: the noise of a bound with 10,000 resamples is 0.027, the rest is skewness
            assert a == pytest.approx(b, abs=0.15 * (b[1] - b[0]) / 3.92), (which, metric)
            assert getattr(boot, which)[metric]["value"] == getattr(formula, which)[metric]["value"]


@pytest.mark.parametrize("make", [samples.binary, samples.multiclass, samples.regression])
def test_influence_is_the_derivative_by_a_rows_weight(make):
    outcome, scored = make(60, weighted=True)
    names = tuple(MEASURES[outcome.task])
    step = 1e-6

    def points(weights_):
        changed = type(outcome)(**{**vars(outcome), "weights": weights_})
        return SCORERS[outcome.task](changed, scored, everything(60), names)

    found = np.array([points(outcome.weights).influence(0, np.arange(60), name) for name in names])
    for row in (0, 17, 42):
        moved = outcome.weights.copy()
        moved[row] += step
        slope = (points(moved).points()[0] - points(outcome.weights).points()[0]) / step
        assert found[:, row] == pytest.approx(slope, abs=1e-6)


def test_large_groups_switch_to_the_formula_and_rare_classes_do_not():
    outcome, scored = samples.binary(5000)
    formula = overall(outcome, scored, analytic_entries=0, resamples=100)
    assert overall(outcome, scored, analytic_entries=9_999, resamples=100) == formula
    assert overall(outcome, scored, analytic_entries=10_000, resamples=100) != formula
    outcome, scored = samples.binary(5000, base=0.05)  # about 250 positive rows
    few = overall(outcome, scored, analytic_entries=0, resamples=100)
    assert few == overall(outcome, scored, resamples=100)


@pytest.mark.parametrize(
    ("metric", "truth"), [("auc", 0.8019), ("accuracy", None), ("log_loss", None), ("brier", None)]
)
def test_intervals_cover_the_truth_about_95_percent_of_the_time(metric, truth):
    if truth is None:
        outcome, scored = samples.binary(400_000, seed=99)
        truth = overall(outcome, scored, metrics=(metric,), analytic_entries=0).challenger[metric]["value"]
    hits = 0
    for seed in range(300):
        outcome, scored = samples.binary(150, seed=1000 + seed)
        low, high = bounds(
            overall(outcome, scored, metrics=(metric,), resamples=400, seed=seed).challenger, metric
        )
        hits += low <= truth <= high
    assert 0.91 <= hits / 300 <= 0.985


def test_paired_difference_covers_the_truth_about_95_percent_of_the_time():
    outcome, scored = samples.binary(400_000, seed=99)
    champion = samples.noisy(scored)
    truth = overall(outcome, scored, champion, metrics=("auc",), analytic_entries=0).difference["auc"][
        "value"
    ]
    hits = 0
    for seed in range(300):
        outcome, scored = samples.binary(150, seed=5000 + seed)
        group = overall(
            outcome, scored, samples.noisy(scored, seed), metrics=("auc",), resamples=400, seed=seed
        )
        low, high = bounds(group.difference, "auc")
        hits += low <= truth <= high
    assert 0.91 <= hits / 300 <= 0.985


def test_too_few_rows_have_no_value_and_too_few_of_a_class_no_interval():
    outcome, scored = samples.binary(1000)
    few = np.zeros(1000, bool)
    few[:9] = True
    groups = intervals.estimate(outcome, {"challenger": scored}, [samples.by_mask(few)], resamples=100)[0]
    assert groups[1].note == "too few rows: 9, fewer than 10"
    assert groups[1].challenger["auc"] == {"value": None, "low": None, "high": None}
    assert groups[0].note == ""

    rare = np.zeros(1000, bool)
    rare[np.flatnonzero(outcome.codes == 1)[:4]] = True
    rare[np.flatnonzero(outcome.codes == 0)[:30]] = True
    group = intervals.estimate(outcome, {"challenger": scored}, [samples.by_mask(rare)], resamples=100)[0][1]
    assert group.note == "too few rows of a class for all intervals: 4, fewer than 5"
    assert group.challenger["auc"]["value"] is not None
    assert group.challenger["auc"]["low"] is None
    assert group.challenger["log_loss"]["low"] is not None


@pytest.mark.parametrize("entries", [0, intervals.ANALYTIC_ENTRIES])
def test_one_class_has_intervals_of_means_alone(entries):
    outcome, scored = samples.binary(5000)
    slicing = samples.by_mask(outcome.codes == 0)
    group = intervals.estimate(
        outcome, {"challenger": scored}, [slicing], resamples=100, analytic_entries=entries
    )[0][1]
    bounded = {name for name, estimate in group.challenger.items() if estimate["low"] is not None}
    assert bounded == {"accuracy", "log_loss", "brier"}


def test_one_class_has_the_metrics_that_need_no_second():
    outcome, scored = samples.binary(500)
    slicing = samples.by_mask(outcome.codes == 0)
    group = intervals.estimate(outcome, {"challenger": scored}, [slicing], resamples=100)[0][1]
    assert group.note == "one class only"
    assert group.challenger["auc"]["value"] is None
    assert group.challenger["accuracy"]["value"] == pytest.approx(
        (scored.scores[outcome.codes == 0] < 0.5).mean()
    )


def test_percentiles_leave_out_undefined_resamples_up_to_a_tenth():
    values = np.arange(101.0)
    assert np.array(intervals.percentiles(values, 0.9)) == pytest.approx([5.0, 95.0])
    values[-10:] = np.nan
    assert np.array(intervals.percentiles(values, 0.9)) == pytest.approx([4.5, 85.5])
    values[-11:] = np.nan
    assert np.isnan(intervals.percentiles(values, 0.9)).all()


def test_bounds_stay_within_what_a_metric_can_be():
    outcome, _ = samples.binary(40)
    perfect = samples.binary_scored(np.where(outcome.codes == 1, 0.9, 0.1))
    group = overall(outcome, perfect, resamples=100)
    assert bounds(group.challenger, "auc") == (1.0, 1.0)
