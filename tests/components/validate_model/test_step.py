import json

import pytest

from penstock.components.step_io.main import execute
from penstock.components.validate_model.step import run
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"rules": "system.Artifact", "report": "system.Markdown"}


def write_evaluation(folder, **changes):
    """Write an evaluation as evaluate_model does, with one slice whose name needs escaping."""
    auc = {"auc": {"value": 0.871, "low": 0.855, "high": 0.886}}
    difference = {"auc": {"value": 0.012, "low": 0.004, "high": 0.02}}
    part = {"rows": 1190, "note": "", "challenger": auc, "champion": auc, "difference": difference}
    content = {
        "task": "binary",
        "rows": 1190,
        "confidence": 0.95,
        "resamples": 1000,
        "primary_metric": "auc",
        "champion_version": "3",
        "champion_note": "",
        "metrics": {"auc": {"higher_is_better": True, "lowest": 0.0, "highest": 1.0}},
        "overall": part,
        "slices": [{"by": ["kind"], "value": {"kind": "a|b*"}, "name": "kind = a|b*"} | part],
    } | changes
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(content))
    return folder


def validate(tmp_path, capsys, evaluation, thresholds):
    out = tmp_path / "out"
    code = execute(
        run,
        "validate_model",
        executor_input(out, {"thresholds": thresholds}, {"evaluation": evaluation}, OUTPUTS),
    )
    return code, json.loads(capsys.readouterr().out.splitlines()[-1]), out


def test_exactly_the_declared_outputs_appear(tmp_path, capsys):
    evaluation = write_evaluation(tmp_path / "evaluation")
    code, _, out = validate(tmp_path, capsys, evaluation, {"metrics": {"auc": {"min": 0.75}}})
    assert code == 0
    parameters, artifacts = read_outputs(out)
    assert parameters == {"verdict": "pass", "reasons": []}
    assert artifacts.keys() == OUTPUTS.keys()
    assert sorted(path.name for path in out.iterdir()) == ["executor_output.json", "report", "rules"]
    rules = json.loads((out / "rules" / "rules.json").read_text())
    assert rules["verdict"] == "pass"
    assert [rule["name"] for rule in rules["rules"]] == ["auc min", "improvement better"]


def test_a_model_below_its_limit_blocks_with_the_reason_and_the_evidence(tmp_path, capsys):
    evaluation = write_evaluation(tmp_path / "evaluation")
    code, _, out = validate(tmp_path, capsys, evaluation, {"metrics": {"auc": {"min": 0.9}}})
    parameters, _ = read_outputs(out)
    assert code == 0
    assert parameters == {
        "verdict": "block",
        "reasons": ["auc 0.871 (0.855 to 0.886, 1,190 rows) is below 0.9: block"],
    }
    assert (out / "report").read_text().startswith("# Model validation: ✕ block\n")


def test_report_starts_with_the_verdict_and_the_worst_rule(tmp_path, capsys):
    evaluation = write_evaluation(tmp_path / "evaluation")
    thresholds = {"metrics": {"auc": {"max": 0.8}}, "slices": {"max_drop": 0.0}}
    _, _, out = validate(tmp_path, capsys, evaluation, thresholds)
    assert (out / "report").read_text() == (
        "# Model validation: ✕ block\n"
        "\n"
        "3 rules (1 block, 2 pass), 1,190 test rows, champion 3.\n"
        "\n"
        "| Verdict | Rule | Metric | Slice | Value | Limit | Rows |\n"
        "|:--|:--|:--|:--|--:|--:|--:|\n"
        "| ✕ block | auc max | auc | all | 0.8710 | 0.8 | 1,190 |\n"
        "| ✓ pass | improvement better | auc | all | 0.004000 | 0 | 1,190 |\n"
        "| ✓ pass | slice drop | auc | all | -0.01200 | 0 |  |\n"
        "\n"
        "- auc 0.871 (0.855 to 0.886, 1,190 rows) is above 0.8: block\n"
        "- auc 0.871 against 0.871 of champion 3: an improvement of +0.012 (+0.004 to +0.020, 1,190 rows) lies "
        "wholly above 0: pass\n"
        "- auc on none of 1 judged slice is worse than champion 3's by more than 0; the largest drop is -0.012 "
        "(-0.020 to -0.004, 1,190 rows) on kind = a|b\\*: pass\n"
        "\n"
        "In brackets: 95 % confidence intervals. Limits are held against the estimate itself; for the improvement "
        "over the champion the lower bound of its paired interval counts, which is the value in the table (an "
        "improvement is positive whichever direction of the metric is good).\n"
    )


def test_a_slice_of_data_cannot_break_the_table(tmp_path, capsys):
    evaluation = write_evaluation(tmp_path / "evaluation")
    content = json.loads((evaluation / "evaluation.json").read_text())
    content["slices"][0]["difference"] = {"auc": {"value": -0.05, "low": -0.08, "high": -0.02}}
    (evaluation / "evaluation.json").write_text(json.dumps(content))
    _, _, out = validate(tmp_path, capsys, evaluation, {"slices": {"max_drop": 0.01}})
    assert (
        "| ✕ block | slice drop | auc | kind = a\\|b\\* | 0.05000 | 0.01 | 1,190 |\n"
        in (out / "report").read_text()
    )


def test_wrong_thresholds_are_an_error_without_outputs(tmp_path, capsys):
    evaluation = write_evaluation(tmp_path / "evaluation")
    code, record, out = validate(tmp_path, capsys, evaluation, {"metrics": {"auc": {"min": 1.5}}})
    assert code == 2
    assert record["error"] == "thresholds.metrics.auc.min is 1.5, which is impossible: auc is 0 to 1"
    assert not out.exists() or not list(out.iterdir())


def test_a_folder_without_an_evaluation_is_an_error(tmp_path, capsys):
    (tmp_path / "evaluation").mkdir()
    code, record, _ = validate(tmp_path, capsys, tmp_path / "evaluation", {})
    assert code == 2
    assert record["error"] == (
        f"{tmp_path / 'evaluation'} holds no evaluation.json; it should be evaluate_model's evaluation"
    )


@pytest.mark.parametrize(
    ("text", "why"), [("{}", "KeyError: 'primary_metric'"), ("[", "JSONDecodeError: Expecting value")]
)
def test_something_else_than_an_evaluation_is_an_error(tmp_path, capsys, text, why):
    (tmp_path / "evaluation").mkdir()
    path = tmp_path / "evaluation" / "evaluation.json"
    path.write_text(text)
    code, record, _ = validate(tmp_path, capsys, tmp_path / "evaluation", {})
    assert code == 2
    assert record["error"].startswith(f"{path} is no evaluation: {why}")
