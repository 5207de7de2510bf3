import math

import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.validate_model.thresholds import Measure, Thresholds, read_thresholds

MEASURES = {
    "auc": Measure(True, 0.0, 1.0),
    "log_loss": Measure(False, 0.0),
    "r2": Measure(True, -math.inf, 1.0),
}


def read(**section):
    return read_thresholds(section, MEASURES, "auc")


def test_an_empty_section_asks_for_a_better_primary_metric():
    assert read() == Thresholds([], "auc", "better", 0.0, "auc", None, None, 100)


def test_a_whole_section_is_read():
    found = read(
        metrics={"auc": {"min": 0.7, "max": 0.99}, "log_loss": {"max": 1}},
        improvement={"metric": "log_loss", "rule": "not_worse", "margin": 0.01},
        slices={"metric": "r2", "max_drop": 0.05, "max_spread": None, "min_rows": 50},
    )
    limits = [("auc", "min", 0.7), ("auc", "max", 0.99), ("log_loss", "max", 1.0)]
    assert found == Thresholds(limits, "log_loss", "not_worse", 0.01, "r2", 0.05, None, 50)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"metrics": {"auk": {"min": 0.7}}},
            "thresholds.metrics.auk is no metric of this model; did you mean 'auc'? allowed are auc, log_loss, r2",
        ),
        (
            {"metrics": {"rmse": {"max": 7}}},
            "thresholds.metrics.rmse is no metric of this model; allowed are auc, log_loss, r2",
        ),
        ({"metrics": {"auc": {"min": "0.7"}}}, "thresholds.metrics.auc.min is '0.7': expected a number"),
        ({"metrics": {"auc": {"min": True}}}, "thresholds.metrics.auc.min is True: expected a number"),
        (
            {"metrics": {"auc": 0.7}},
            "thresholds.metrics.auc is 0.7: expected a mapping with min, max or both",
        ),
        (
            {"metrics": {"auc": {"minimum": 0.7}}},
            "thresholds.metrics.auc.minimum is unknown; did you mean 'min'? allowed are min, max",
        ),
        (
            {"metrics": {"auc": {"min": 1.5}}},
            "thresholds.metrics.auc.min is 1.5, which is impossible: auc is 0 to 1",
        ),
        (
            {"metrics": {"log_loss": {"max": -1}}},
            "thresholds.metrics.log_loss.max is -1, which is impossible: log_loss is 0 or more",
        ),
        (
            {"metrics": {"r2": {"min": 2}}},
            "thresholds.metrics.r2.min is 2, which is impossible: r2 is 1 or less",
        ),
        (
            {"metrics": {"auc": {"min": 0.8, "max": 0.7}}},
            "thresholds.metrics.auc: min 0.8 is above max 0.7, so that no model can pass",
        ),
        ({"metrics": [1]}, "thresholds.metrics is [1]: expected a mapping"),
        (
            {"improvment": {}},
            "thresholds.improvment is unknown; did you mean 'improvement'? allowed are metrics, improvement, slices",
        ),
        (
            {"improvement": {"rule": "beter"}},
            "thresholds.improvement.rule is 'beter': allowed are better, not_worse, off",
        ),
        (
            {"improvement": {"margin": -0.1}},
            "thresholds.improvement.margin is -0.1: expected a number of 0 or more",
        ),
        (
            {"improvement": {"metric": "brier"}},
            "thresholds.improvement.metric 'brier' is no metric of this model; allowed are auc, log_loss, r2",
        ),
        (
            {"slices": {"max_dop": 0.1}},
            "thresholds.slices.max_dop is unknown; did you mean 'max_drop'? allowed are metric, max_drop, "
            "max_spread, min_rows",
        ),
        (
            {"slices": {"max_spread": "x"}},
            "thresholds.slices.max_spread is 'x': expected a number of 0 or more",
        ),
        (
            {"slices": {"min_rows": 0}},
            "thresholds.slices.min_rows is 0: expected a whole number of 1 or more",
        ),
    ],
)
def test_a_fault_is_one_sentence(section, message):
    with pytest.raises(StepError) as error:
        read(**section)
    assert str(error.value) == message


def test_all_faults_are_told_at_once():
    with pytest.raises(StepError) as error:
        read(metrics={"auc": {"min": 2}}, slices={"min_rows": 1.5})
    assert str(error.value) == (
        "thresholds.metrics.auc.min is 2, which is impossible: auc is 0 to 1; "
        "thresholds.slices.min_rows is 1.5: expected a whole number of 1 or more"
    )
