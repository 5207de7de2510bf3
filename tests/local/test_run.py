"""How a run ends, what it says, and what it leaves behind."""

import json
from pathlib import Path

from tests.local.toy import Toy, write

DONE = {
    "importer": "succeeded",
    "look": "succeeded",
    "produce": "succeeded",
    "judge": "succeeded",
    "gate": "succeeded",
    "learn": "succeeded",
    "tell": "succeeded",
}


def test_run_computes_every_step_the_first_time(toy: Toy) -> None:
    ended = toy.run()

    assert ended.returncode == 0, ended.stderr
    assert toy.states() == DONE
    run = toy.latest()
    model = run["steps"][5]["outputs"]["model"]
    assert Path(model).read_text() == "6"
    assert model == str(toy.runs / run["id"] / "artifacts" / "learn" / "model")


def test_run_writes_the_summary_to_stdout_and_a_line_per_change_to_stderr(toy: Toy) -> None:
    ended = toy.run()

    lines = ended.stdout.splitlines()
    assert lines[0].startswith("training, app toy, run 2")
    assert "6 steps ran, 0 reused" in lines[0]
    assert lines[2] == "judge       pass"
    states = [line.split()[1:3] for line in ended.stderr.splitlines()[1:]]
    assert states[:3] == [["succeeded", "app"], ["running", "look"], ["succeeded", "look"]]
    assert "\x1b" not in ended.stdout + ended.stderr


def test_run_prints_run_json_where_asked(toy: Toy) -> None:
    ended = toy.run("--json")

    assert json.loads(ended.stdout) == toy.latest()


def test_run_json_holds_what_the_brief_says(toy: Toy) -> None:
    toy.run("--set", "seed=3")

    run = toy.latest()
    assert (run["pipeline"], run["app"], run["state"]) == ("training", "toy", "succeeded")
    assert run["command"] == "penstock run training --app toy --set seed=3"
    assert run["arguments"]["seed"] == 3
    assert run["arguments"]["source"] == str(toy.steering)
    produce = run["steps"][2]
    assert (produce["title"], produce["step"], produce["log"]) == ("produce", "produce", "logs/produce.log")
    assert produce["record"]["results"] == {"rows": 3, "limits": {"most": None, "least": [1, None]}}
    assert produce["record"]["version"] == {"image": produce["image"], "code": run["code_version"]}
    assert run["steps"][4]["title"] == "gate: data"
    assert produce["peak_mib"] > 5


def test_run_reuses_everything_that_has_not_changed(toy: Toy) -> None:
    toy.run()
    first = toy.latest()

    ended = toy.run()

    cached = dict.fromkeys(("produce", "judge", "gate", "learn"), "cached")
    assert toy.states() == {**DONE, **cached}
    second = toy.latest()
    assert [step["reused_from"] for step in second["steps"][2:6]] == [first["id"]] * 4
    assert [step["record"] for step in second["steps"][2:6]] == [
        step["record"] for step in first["steps"][2:6]
    ]
    assert "3 steps ran" not in ended.stdout
    assert (toy.runs / second["id"] / "reports" / "judge-report.html").is_file()


def test_run_stops_at_a_gate_with_exit_code_3(toy: Toy) -> None:
    toy.steer(numbers=[1])

    ended = toy.run()

    assert ended.returncode == 3
    assert toy.states() == {**DONE, "gate": "blocked", "learn": "skipped"}
    run = toy.latest()
    evidence = toy.runs / run["id"] / "artifacts" / "judge" / "report"
    assert run["state"] == "blocked"
    assert ended.stdout.splitlines()[-3:] == [
        f"blocked     the data gate blocks: 1 rows, expected 2 at least (evidence: {evidence})",
        f"log         .penstock/runs/{run['id']}/logs/gate.log; "
        f"evidence: .penstock/runs/{run['id']}/reports/judge-report.html",
        "next        mend what it names, then penstock run training --app toy",
    ]
    page = (toy.runs / run["id"] / "index.html").read_text()
    assert page.index("1 rows, expected 2 at least") < page.index("<svg")


def test_run_ends_with_exit_code_2_when_input_cannot_be_read(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], fail="produce", how="step_error")

    ended = toy.run()

    assert ended.returncode == 2
    assert toy.states() == {
        **DONE,
        "produce": "failed",
        **dict.fromkeys(("judge", "gate", "learn"), "skipped"),
    }
    run = toy.latest()
    assert ended.stdout.splitlines()[-3:] == [
        f"error       produce: {toy.steering} holds no numbers: write some into it",
        f"log         .penstock/runs/{run['id']}/logs/produce.log",
        "next        mend it, then penstock run training --app toy  (it goes on with this step)",
    ]
    assert not (toy.runs / run["id"] / "artifacts" / "produce" / "dataset").exists()


def test_run_ends_with_exit_code_1_and_the_log_at_a_bug(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], fail="learn", how="bug")

    ended = toy.run()

    assert ended.returncode == 1
    run = toy.latest()
    assert "error       learn: KeyError: 'numbers'" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "Traceback" in (toy.runs / run["id"] / "logs" / "learn.log").read_text()


def test_run_says_so_when_a_step_ends_without_a_record(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], fail="learn", how="silent")

    ended = toy.run()

    assert ended.returncode == 1
    assert "error       learn: the process ended with exit code 7 and left no step record" in ended.stdout


def test_run_skips_a_group_whose_condition_does_not_hold(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], decision="unchanged")

    ended = toy.run()

    assert ended.returncode == 0
    assert toy.states() == {**DONE, **dict.fromkeys(("produce", "judge", "gate", "learn"), "skipped")}
    assert toy.latest()["state"] == "unchanged"
    assert "next        penstock run training --app toy --force  trains all the same" in ended.stdout


def test_exit_handler_reads_how_the_run_ended(toy: Toy) -> None:
    toy.steer(numbers=[1])

    toy.run()

    told = json.loads((toy.root / ".penstock" / "notifications.jsonl").read_text())
    assert told == {
        "state": "blocked",
        "steps": {**DONE, "gate": "blocked", "learn": "skipped", "tell": "running"},
    }


def test_failed_exit_handler_does_not_fail_the_run(toy: Toy) -> None:
    toy.steer(numbers=[1, 2], fail="tell", how="bug")

    ended = toy.run()

    assert ended.returncode == 0
    assert toy.latest()["state"] == "succeeded"
    assert "warning     tell failed: KeyError: 'numbers' (log: " in ended.stdout


def test_step_sees_only_what_it_needs_of_the_environment(toy: Toy) -> None:
    behave = toy.root / "components" / "wording" / "behave.py"
    behave.write_text(
        behave.read_text().replace(
            "    steer = ",
            "    Path(source).with_name(f'{step}.env').write_text(json.dumps(dict(os.environ)))\n    steer = ",
            1,
        )
    )

    toy.run(VIRTUAL_ENV="/somewhere", SOME_SECRET="x", AWS_PROFILE="team")

    seen = json.loads(toy.steering.with_name("produce.env").read_text())
    run = toy.latest()
    assert seen["PYTHONPATH"] == str(toy.root)
    assert seen["PENSTOCK_RUN_DIR"] == str(toy.runs / run["id"])
    assert seen["PENSTOCK_IMAGE"] == run["steps"][2]["image"]
    assert seen["AWS_PROFILE"] == "team"
    assert not {"VIRTUAL_ENV", "SOME_SECRET"} & set(seen)


def test_run_refuses_an_unknown_pipeline(toy: Toy) -> None:
    ended = toy.penstock("run", "trainin", "--app", "toy")

    assert ended.returncode == 2
    assert "did you mean 'training'?" in ended.stderr
    assert not toy.runs.exists()


def test_run_says_which_step_has_no_stack(toy: Toy) -> None:
    write(toy.root / "images" / "images.yaml", "steps:\n  look: {stack: tiny}\n")

    ended = toy.run()

    assert ended.returncode == 2
    assert ended.stderr.startswith("penstock: images/images.yaml lists no step ")


def test_state_folder_that_cannot_be_written_gives_one_sentence(toy: Toy) -> None:
    state = toy.steering / "state"  # below a file

    ended = toy.run(PENSTOCK_HOME=str(state))

    assert ended.returncode == 2
    assert ended.stderr == (
        f"penstock: {state} cannot be written (Not a directory): mend that, "
        "or name another folder with the environment variable PENSTOCK_HOME\n"
    )


def test_state_folder_may_be_relative(toy: Toy) -> None:
    ended = toy.run(PENSTOCK_HOME="elsewhere")

    assert ended.returncode == 0, ended.stderr
    assert (toy.root / "elsewhere" / "runs" / "latest" / "index.html").is_file()
