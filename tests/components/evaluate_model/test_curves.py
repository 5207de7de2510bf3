import numpy as np
import pytest

from penstock.components.evaluate_model import curves
from penstock.components.evaluate_model.evaluation import classification_metadata
from penstock.components.evaluate_model.outcomes import Outcome, Scored
from tests.components.evaluate_model import samples


def test_roc_points_equal_hand_arithmetic():
    outcome = Outcome("binary", ("no", "yes"), 1, np.array([1, 0, 1, 0], np.int32), samples.NONE)
    found = curves.binary_curves(outcome, samples.binary_scored([0.9, 0.8, 0.8, 0.1]))
    assert found["roc"] == [
        {"threshold": 1.0, "fpr": 0.0, "tpr": 0.0},
        {"threshold": 0.9, "fpr": 0.0, "tpr": 0.5},
        {"threshold": 0.8, "fpr": 0.5, "tpr": 1.0},
        {"threshold": 0.1, "fpr": 1.0, "tpr": 1.0},
    ]
    assert found["precision_recall"][1] == {"threshold": 0.8, "precision": 2 / 3, "recall": 1.0}


def test_roc_of_many_rows_is_short_and_rises_from_corner_to_corner():
    outcome, scored = samples.binary(5000)
    roc = curves.binary_curves(outcome, scored)["roc"]
    assert 80 < len(roc) <= curves.MOST_POINTS
    assert (roc[0]["fpr"], roc[0]["tpr"], roc[-1]["fpr"], roc[-1]["tpr"]) == (0, 0, 1, 1)
    thresholds = [p["threshold"] for p in roc]
    assert thresholds == sorted(thresholds, reverse=True)
    assert np.isfinite(thresholds).all()


def test_curves_of_one_class_are_empty():
    outcome = Outcome("binary", ("no", "yes"), 1, np.zeros(3, np.int32), samples.NONE)
    found = curves.binary_curves(outcome, samples.binary_scored([0.1, 0.2, 0.3]))
    assert found == {"roc": [], "precision_recall": []}


def test_calibration_bins_hold_all_rows_and_wilson_intervals():
    outcome = Outcome("binary", ("no", "yes"), 1, np.array([0] * 9 + [1], np.int32), samples.NONE)
    found = curves.calibration(outcome, samples.binary_scored([0.2] * 10))
    assert len(found) == 1
    assert found[0]["rows"] == 10
    assert found[0]["share"] == pytest.approx(0.1)
    assert (found[0]["low"], found[0]["high"]) == pytest.approx(
        (0.01788, 0.40415), abs=1e-4
    )  # Wilson's, of 1 in 10


def test_confusion_counts_rows_by_label_and_prediction():
    outcome = Outcome("multiclass", ("a", "b"), 0, np.array([0, 0, 1], np.int32), samples.NONE)
    found = curves.confusion(outcome, Scored(np.zeros((3, 2)), np.array([0, 1, 1], np.int32)))
    assert found == {"classes": ["a", "b"], "matrix": [[1, 1], [0, 1]]}


def test_confusion_of_many_classes_puts_the_rarest_together():
    classes = tuple(f"c{i:02d}" for i in range(60))
    codes = np.repeat(np.arange(60), np.arange(60, 0, -1)).astype(np.int32)
    found = curves.confusion(
        Outcome("multiclass", classes, 0, codes, samples.NONE), Scored(np.empty(0), codes)
    )
    assert len(found["classes"]) == 50
    assert found["classes"][-1] == "(other)"
    assert found["matrix"][-1][-1] == sum(range(1, 12))
    assert np.sum(found["matrix"]) == len(codes)


def test_classification_metadata_is_what_kfp_logs():
    found = classification_metadata(
        {
            "details": {
                "challenger": {
                    "roc": [{"threshold": 1.0, "fpr": 0.0, "tpr": 0.25}],
                    "confusion": {"classes": ["no", "yes"], "matrix": [[5, 1], [2, 3]]},
                }
            }
        }
    )
    assert found == {
        "confidenceMetrics": [{"confidenceThreshold": 1.0, "recall": 0.25, "falsePositiveRate": 0.0}],
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": "no"}, {"displayName": "yes"}],
            "rows": [{"row": [5, 1]}, {"row": [2, 3]}],
        },
    }


def test_classification_metadata_of_a_regression_is_empty():
    assert classification_metadata({"details": {"challenger": {"residuals": {}}}}) == {}


def test_residual_histogram_holds_all_rows():
    outcome, scored = samples.regression(500)
    assert sum(curves.residual_histogram(outcome, scored)["counts"]) == 500


def test_residual_histogram_of_a_perfect_model_has_a_width():
    outcome, _ = samples.regression(50)
    found = curves.residual_histogram(outcome, Scored(outcome.values, samples.NO_CODES))
    assert found["edges"][0] == -0.5
    assert sum(found["counts"]) == 50
