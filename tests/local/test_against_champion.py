import json
from pathlib import Path

import pytest

from penstock.local.runs import Run, Step
from penstock.local.summary import against_champion


def run_with(folder: Path, difference: dict | None, metric: str = "auc", version: str = "3") -> Run:
    evaluation = {
        "champion_version": version,
        "primary_metric": metric,
        "metrics": {metric: {"higher_is_better": metric == "auc"}},
        "overall": {"challenger": {}, "difference": difference and {metric: difference}},
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    step = Step("evaluate-model", "evaluate-model", "evaluate_model", outputs={"evaluation": str(folder)})
    return Run("run", "training", "taxi", steps=[step])


@pytest.mark.parametrize(
    ("metric", "difference", "sentence"),
    [
        (
            "auc",
            {"value": 0.02, "low": 0.01, "high": 0.03},
            "better than version 3 on the same rows: auc 0.0200 [0.0100, 0.0300]",
        ),
        (
            "log_loss",
            {"value": 0.02, "low": -0.01, "high": 0.05},
            "no clear difference from version 3 on the same rows: log_loss 0.0200 [-0.0100, 0.0500]",
        ),
        (
            "log_loss",
            {"value": 0.02, "low": 0.01, "high": 0.05},
            "worse than version 3 on the same rows: log_loss 0.0200 [0.0100, 0.0500]",
        ),
        ("auc", None, "not comparable: version 3 cannot be scored on these rows"),
    ],
)
def test_difference_is_told_in_words(tmp_path, metric, difference, sentence):
    assert against_champion(run_with(tmp_path, difference, metric)) == sentence


def test_nothing_is_told_without_a_champion(tmp_path):
    assert against_champion(run_with(tmp_path, None, version="")) == ""


def test_nothing_is_told_when_nothing_was_evaluated():
    assert against_champion(Run("run", "training", "taxi")) == ""
