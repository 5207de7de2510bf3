import numpy as np
import pytest
from sklearn import metrics as reference

from penstock.components.tabular_model.label import Label
from penstock.components.tabular_model.metrics import auc, measure
from tests.components.tabular_model.tables import SPECS

RNG = np.random.default_rng(0)
WEIGHT = RNG.random(400) + 0.1


def test_binary_metrics_equal_scikit_learn():
    target, score = RNG.integers(0, 2, 400), np.round(RNG.random(400), 2)
    found = measure(Label.from_spec(SPECS["binary"]), target, score, WEIGHT)
    said, more = score >= 0.5, {"sample_weight": WEIGHT}
    expected = {
        "auc": reference.roc_auc_score(target, score, **more),
        "pr_auc": reference.average_precision_score(target, score, **more),
        "log_loss": reference.log_loss(target, np.clip(score, 1e-15, 1 - 1e-15), **more),
        "brier": reference.brier_score_loss(target, score, **more),
        "accuracy": reference.accuracy_score(target, said, **more),
        "precision": reference.precision_score(target, said, **more),
        "recall": reference.recall_score(target, said, **more),
        "f1": reference.f1_score(target, said, **more),
    }
    assert found == pytest.approx(expected, abs=1e-9)


def test_multiclass_metrics_equal_scikit_learn():
    target, share = RNG.integers(0, 3, 400), RNG.dirichlet([1, 1, 1], 400)
    found = measure(Label.from_spec(SPECS["multiclass"]), target, share, WEIGHT)
    said, more = share.argmax(axis=1), {"sample_weight": WEIGHT}
    areas = [reference.roc_auc_score(target == k, share[:, k], **more) for k in range(3)]
    expected = {
        "accuracy": reference.accuracy_score(target, said, **more),
        "log_loss": reference.log_loss(target, share, **more),
        "macro_f1": reference.f1_score(target, said, average="macro", **more),
        "macro_auc": np.mean(areas),
    }
    assert found == pytest.approx(expected, abs=1e-9)


def test_regression_metrics_equal_scikit_learn():
    target, value = RNG.normal(size=400), RNG.normal(size=400)
    found = measure(Label.from_spec(SPECS["regression"]), target, value, WEIGHT)
    expected = {
        "rmse": reference.root_mean_squared_error(target, value, sample_weight=WEIGHT),
        "mae": reference.mean_absolute_error(target, value, sample_weight=WEIGHT),
        "r2": reference.r2_score(target, value, sample_weight=WEIGHT),
    }
    assert found == pytest.approx(expected, abs=1e-9)


def test_what_is_undefined_is_left_out():
    found = measure(Label.from_spec(SPECS["binary"]), np.zeros(3), np.full(3, 0.2), np.ones(3))
    assert sorted(found) == ["accuracy", "brier", "log_loss"]
    assert np.isnan(auc(np.ones(2), np.ones(2), np.ones(2)))
    assert measure(Label.from_spec(SPECS["regression"]), np.zeros(0), np.zeros(0), np.zeros(0)) == {}
