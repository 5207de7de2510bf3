"""Point estimates are exact: scikit-learn's numbers to 1e-9, and those of hand arithmetic."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from penstock.components.evaluate_model.outcomes import MEASURES, Outcome
from penstock.components.evaluate_model.scorers import SCORERS
from penstock.components.row_slices.slices import everything
from tests.components.evaluate_model import samples


def points(outcome, scored, slicing=None):
    """Return {metric: value} for each group."""
    names = tuple(MEASURES[outcome.task])
    values = SCORERS[outcome.task](outcome, scored, slicing or everything(outcome.rows), names).points()
    return [dict(zip(names, row, strict=True)) for row in values]


def expected_binary(y, p, w):
    called = p >= 0.5
    return {
        "auc": sk.roc_auc_score(y, p, sample_weight=w),
        "pr_auc": sk.average_precision_score(y, p, sample_weight=w),
        "log_loss": sk.log_loss(y, p, sample_weight=w),
        "brier": sk.brier_score_loss(y, p, sample_weight=w),
        "accuracy": sk.accuracy_score(y, called, sample_weight=w),
        "precision": sk.precision_score(y, called, sample_weight=w),
        "recall": sk.recall_score(y, called, sample_weight=w),
        "f1": sk.f1_score(y, called, sample_weight=w),
    }


def expected_multiclass(y, p, w):
    called = p.argmax(axis=1)
    return {
        "accuracy": sk.accuracy_score(y, called, sample_weight=w),
        "log_loss": sk.log_loss(y, p, sample_weight=w, labels=range(p.shape[1])),
        "macro_f1": sk.f1_score(y, called, average="macro", sample_weight=w),
        # scikit-learn's own multi-class auc takes no weights: the mean over classes, one against the rest
        "macro_auc": np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(p.shape[1])]),
    }


def expected_regression(y, p, w):
    return {
        "rmse": sk.root_mean_squared_error(y, p, sample_weight=w),
        "mae": sk.mean_absolute_error(y, p, sample_weight=w),
        "r2": sk.r2_score(y, p, sample_weight=w),
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decimals", [None, 2, 1])
def test_binary_metrics_equal_scikit_learn(decimals, weighted):
    outcome, scored = samples.binary(3000, decimals=decimals, weighted=weighted)
    expected = expected_binary(outcome.codes, scored.scores, outcome.weights)
    assert points(outcome, scored)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_metrics_equal_scikit_learn_in_each_group(weighted):
    outcome, scored = samples.binary(2000, decimals=2, weighted=weighted)
    slicing = samples.by_random_groups(2000, 7)
    for group, found in enumerate(points(outcome, scored, slicing)):
        inside = slicing.codes == group
        weights = outcome.weights[inside] if weighted else None
        expected = expected_binary(outcome.codes[inside], scored.scores[inside], weights)
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [3, 6])
def test_multiclass_metrics_equal_scikit_learn(classes, weighted):
    outcome, scored = samples.multiclass(2000, classes, weighted=weighted)
    expected = expected_multiclass(outcome.codes, scored.scores, outcome.weights)
    assert points(outcome, scored)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_metrics_equal_scikit_learn(weighted):
    outcome, scored = samples.regression(3000, weighted=weighted)
    expected = expected_regression(outcome.values, scored.scores, outcome.weights)
    assert points(outcome, scored)[0] == pytest.approx(expected, abs=1e-9)


def test_regression_metrics_keep_their_digits_far_from_zero():
    outcome, scored = samples.regression(1000)
    far = Outcome("regression", (), 0, samples.NO_CODES, outcome.values + 1e7)
    moved = type(scored)(scored.scores + 1e7, scored.predicted)
    assert points(far, moved)[0] == pytest.approx(points(outcome, scored)[0], rel=1e-6)


def test_binary_metrics_equal_hand_arithmetic():
    # scores 0.9+ 0.8- 0.8+ 0.3+ 0.1-: of 6 pairs of a positive and a negative row, 0.9 wins 2, 0.8 wins 1 and
    # ties 1, 0.3 wins 1: (2 + 1.5 + 1) / 6
    codes = np.array([1, 0, 1, 1, 0], np.int32)
    outcome = Outcome("binary", ("no", "yes"), 1, codes, samples.NONE)
    found = points(outcome, samples.binary_scored([0.9, 0.8, 0.8, 0.3, 0.1]))[0]
    assert found == pytest.approx(
        {
            "auc": 4.5 / 6,
            "pr_auc": (1 / 3) * 1 + (1 / 3) * (2 / 3) + (1 / 3) * (3 / 4),
            "log_loss": -(math.log(0.9) + math.log(0.2) + math.log(0.8) + math.log(0.3) + math.log(0.9)) / 5,
            "brier": (0.01 + 0.64 + 0.04 + 0.49 + 0.01) / 5,
            "accuracy": 3 / 5,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
        },
        abs=1e-12,
    )


def test_log_loss_of_a_certain_and_wrong_score_is_finite():
    outcome = Outcome("binary", ("no", "yes"), 1, np.array([1, 0], np.int32), samples.NONE)
    assert points(outcome, samples.binary_scored([0.0, 0.0]))[0]["log_loss"] == pytest.approx(
        sk.log_loss([1, 0], [0.0, 0.0]), abs=1e-9
    )


def test_ranking_metrics_are_undefined_with_one_class():
    outcome = Outcome("binary", ("no", "yes"), 1, np.zeros(4, np.int32), samples.NONE)
    found = points(outcome, samples.binary_scored([0.1, 0.2, 0.3, 0.6]))[0]
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"auc", "pr_auc", "recall"}


def test_precision_is_undefined_when_no_row_is_called_positive():
    outcome = Outcome("binary", ("no", "yes"), 1, np.array([0, 1], np.int32), samples.NONE)
    found = points(outcome, samples.binary_scored([0.1, 0.2]))[0]
    assert np.isnan(found["precision"])
    assert found["f1"] == 0


def test_r2_is_undefined_for_a_constant_label():
    outcome = Outcome("regression", (), 0, samples.NO_CODES, np.full(20, 3.0))
    found = points(outcome, type(samples.regression(1)[1])(np.linspace(2, 4, 20), samples.NO_CODES))[0]
    assert np.isnan(found["r2"])
    assert found["mae"] == pytest.approx(np.abs(np.linspace(-1, 1, 20)).mean())


def test_classes_that_do_not_occur_in_a_group_are_left_out_of_macro_means():
    outcome, scored = samples.multiclass(300, 4)
    keep = outcome.codes < 3
    part = Outcome("multiclass", outcome.classes, 0, outcome.codes[keep], samples.NONE)
    probabilities = scored.scores[keep]
    found = points(part, type(scored)(probabilities, scored.predicted[keep]))[0]
    of_classes = [sk.roc_auc_score(part.codes == c, probabilities[:, c]) for c in range(3)]
    assert found["macro_auc"] == pytest.approx(np.mean(of_classes), abs=1e-9)
