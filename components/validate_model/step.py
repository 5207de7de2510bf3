import json
import logging
from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main
from penstock.components.validate_model.evaluation import read_evaluation
from penstock.components.validate_model.markdown import to_markdown
from penstock.components.validate_model.rules import judge, reasons_of, to_json, verdict_of
from penstock.components.validate_model.thresholds import read_thresholds

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    verdict: str
    reasons: list


def run(
    evaluation: InputArtifact,
    rules: OutputArtifact,
    report: OutputArtifact,
    thresholds: dict = {},  # noqa: B006 - KFP's defaults, never mutated
) -> Outputs:
    """Hold an evaluation against absolute thresholds, the champion and its slices."""
    found = read_evaluation(evaluation.path)
    judged = judge(found, read_thresholds(thresholds, found.measures, found.primary))
    rules.path.mkdir()
    text = json.dumps(to_json(judged), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (rules.path / "rules.json").write_text(text + "\n", encoding="utf-8")
    report.path.write_text(to_markdown(found, judged), encoding="utf-8")
    outputs = Outputs(verdict_of(judged), reasons_of(judged))
    log.info("%d rules: %s", len(judged), outputs.verdict)
    return outputs


if __name__ == "__main__":
    main(run)
