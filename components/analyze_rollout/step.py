import json
import logging
import tempfile
from pathlib import Path
from typing import NamedTuple

from penstock.components.analyze_rollout.assembly import assemble
from penstock.components.analyze_rollout.judgement import MOST_REASONS, judge
from penstock.components.analyze_rollout.reading import Interest, read_all
from penstock.components.analyze_rollout.report import write_report
from penstock.components.analyze_rollout.setup import read_setup
from penstock.components.analyze_rollout.state_file import fetch, put_back
from penstock.components.analyze_rollout.store import Store
from penstock.components.analyze_rollout.summary import summarize
from penstock.components.step_io.artifacts import OutputArtifact
from penstock.components.step_io.main import main

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    decision: str
    weights: dict
    reasons: list
    verdict: str


def run(
    logs: str,
    champion: str,
    challenger: str,
    current_weights: dict,
    record: OutputArtifact,
    report: OutputArtifact,
    rollout: dict = {},  # noqa: B006 - KFP's defaults, never mutated
    outcomes: str = "",
    model_name: str = "",
    started: str = "",
    since: str = "",
    now: str = "",
    state_uri: str = "",
) -> Outputs:
    """Judge a rollout by the serving logs so far."""
    times = {"started": started, "since": since, "now": now}
    setup = read_setup(champion, challenger, current_weights, rollout, times)
    settings = setup.rollout
    interest = Interest(
        frozenset(setup.versions), model_name, setup.started, setup.now, settings, bool(outcomes)
    )
    about = {
        "versions": setup.versions,
        "model": model_name,
        "started": setup.started,
        "sources": [logs, outcomes],
        "period_s": settings.period_s,
        "segments": [[s.column, s.edges] for s in settings.segments],
        "shadow": settings.strategy == "shadow",
        "outcome": settings.outcome.kind,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollout.sqlite"
        fetch(state_uri, path)
        store = Store(path, about)
        if store.began_anew:
            log.info("%s: reading the logs from the start", store.began_anew)
        read_all(store, logs, outcomes, interest)
        idle = [v for v, weight in setup.weights.items() if weight == 0 and settings.strategy != "shadow"]
        traffic = assemble(store, setup.versions, idle, settings, (setup.started, setup.since, setup.now))
        judgement = judge(traffic, setup, store, outcomes)
        made = judgement.decision
        before = json.dumps(setup.weights)
        store.add_decision((setup.now, made.action, before, json.dumps(made.weights), made.reasons[0]))
        summary = summarize(traffic, setup, judgement, store)
        store.close()
        put_back(path, state_uri)

    record.path.mkdir()
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
    (record.path / "decision.json").write_text(text + "\n", encoding="utf-8")
    write_report(summary, report.path)
    reasons = [*made.reasons, *judgement.warnings][:MOST_REASONS]
    log.info("%s: %s", made.action, made.reasons[0])
    return Outputs(made.action, made.weights, reasons, judgement.verdict)


if __name__ == "__main__":
    main(run)
