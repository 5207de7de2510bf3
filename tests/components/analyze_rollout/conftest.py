"""The step, called as the launcher calls it."""

import json

import pytest

from penstock.components.analyze_rollout.step import run
from penstock.components.step_io.main import execute
from tests.components.analyze_rollout.request_logs import iso
from tests.executor_input import executor_input, read_outputs

OUTPUTS = {"record": "system.Artifact", "report": "system.HTML"}


@pytest.fixture
def analyze(tmp_path, capsys):
    """Return a function that runs the step and returns its output parameters and the decision record."""

    def call(**parameters):
        given = {
            "logs": str(tmp_path / "logs"),
            "champion": "1",
            "challenger": "2",
            "current_weights": {"1": 95, "2": 5},
            "started": iso(0),
            "now": iso(3700),
        } | parameters
        code = execute(run, "analyze_rollout", executor_input(tmp_path / "out", given, {}, OUTPUTS))
        line = json.loads(capsys.readouterr().out.splitlines()[-1])
        if code:
            assert code == 2
            return line["error"]
        outputs, artifacts = read_outputs(tmp_path / "out")
        record = json.loads((artifacts["record"] / "decision.json").read_text())
        return outputs, record

    return call
