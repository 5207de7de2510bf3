import json

import pytest

from penstock.components.gate.step import run
from penstock.components.step_io.main import execute
from tests.executor_input import executor_input, read_outputs

REASONS = ["2 features violate the schema", "too few rows"]


def gate(tmp_path, verdict, reasons):
    evidence = tmp_path / "report.html"
    evidence.write_text("why")
    parameters = {"verdict": verdict, "reasons": reasons, "subject": "data"}
    return execute(run, "gate", executor_input(tmp_path / "task", parameters, {"evidence": evidence}))


def record(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize(("verdict", "reasons"), [("pass", []), ("warn", REASONS)])
def test_pass_and_warn_let_the_run_go_on(tmp_path, verdict, reasons, capsys):
    assert gate(tmp_path, verdict, reasons) == 0
    assert read_outputs(tmp_path / "task") == ({}, {})
    assert record(capsys)["verdict"] == verdict


def test_a_warning_is_told(tmp_path, capsys):
    gate(tmp_path, "warn", REASONS)
    assert (
        "the data gate passes with 2 warnings: 2 features violate the schema; too few rows"
        in capsys.readouterr().err
    )


def test_block_ends_the_run_with_code_3_and_the_reasons(tmp_path, capsys):
    assert gate(tmp_path, "block", REASONS) == 3
    found = record(capsys)
    assert (found["state"], found["verdict"], found["reasons"]) == ("blocked", "block", REASONS)
    assert found["error"] == (
        f"the data gate blocks: 2 features violate the schema; too few rows (evidence: {tmp_path}/report.html)"
    )
    assert not (tmp_path / "task" / "executor_output.json").exists()


def test_block_without_a_reason_says_so(tmp_path, capsys):
    assert gate(tmp_path, "block", []) == 3
    assert record(capsys)["error"] == (
        f"the data gate blocks: no reason was given (evidence: {tmp_path}/report.html)"
    )


def test_the_evidence_stays_as_it_is(tmp_path):
    gate(tmp_path, "block", REASONS)
    assert (tmp_path / "report.html").read_text() == "why"


@pytest.mark.parametrize("verdict", ["", "ok", "Block"])
def test_an_unknown_verdict_is_a_bug_and_never_passes(tmp_path, verdict, capsys):
    assert gate(tmp_path, verdict, []) == 1
    assert record(capsys)["error"] == f"ValueError: verdict is {verdict!r}, expected pass, warn or block"
