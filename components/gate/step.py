import logging

from penstock.components.step_io.artifacts import InputArtifact
from penstock.components.step_io.errors import GateBlocked
from penstock.components.step_io.main import main

log = logging.getLogger(__name__)


def run(verdict: str, reasons: list, evidence: InputArtifact, subject: str) -> None:
    """Let the run go on, or end it with the reasons."""
    if verdict == "block":
        because = "; ".join(reasons) if reasons else "no reason was given"
        raise GateBlocked(f"the {subject} gate blocks: {because} (evidence: {evidence.uri})", reasons)
    if verdict == "warn":
        log.warning("the %s gate passes with %d warnings: %s", subject, len(reasons), "; ".join(reasons))
    elif verdict != "pass":
        raise ValueError(f"verdict is {verdict!r}, expected pass, warn or block")


if __name__ == "__main__":
    main(run)
