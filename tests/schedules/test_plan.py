"""Plans: what is to be made, replaced with its changed fields, removed; and what is not ours."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.environment_models import Schedule
from penstock.errors import UserError
from penstock.kfp_backend.runs import with_schedule_time
from penstock.schedules.apply import carry_out, plan
from penstock.schedules.desired import SCHEDULE_TIME, desire
from penstock.schedules.text import plan_json, plan_lines
from tests.schedules.kfp_server import BEGAN

ROOT = Path(__file__).parents[2]


def only(state):
    (one,) = state.recurring.values()
    return one


def fields_of(change):
    return {one.field: (one.old, one.new) for one in change.fields}


def test_a_schedule_becomes_a_recurring_run_of_the_pipeline_that_submit_would_run(
    apply, state, want, environment
):
    apply({"window": "P30D", "cron": "30 6 1 * *", "catch_up": True, "max_concurrency": 2})
    made = only(state)
    delivery = want(window="P30D", cron="30 6 1 * *", catch_up=True, max_concurrency=2).delivery
    assert (made["display_name"], made["description"]) == (
        "often",
        "penstock schedule often of environment stage",
    )
    assert made["trigger"] == {"cron_schedule": {"cron": "0 30 6 1 * *"}}
    assert (made["no_catchup"], made["max_concurrency"], made["mode"]) == (False, "2", "ENABLE")
    assert made["runtime_config"]["pipeline_root"] == environment.pipeline_root
    (version,) = state.versions.values()
    assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert (version["display_name"], version["text"]) == (delivery.version, delivery.text)
    assert state.experiments[made["experiment_id"]]["display_name"] == "taxi"
    arguments = made["runtime_config"]["parameters"]
    assert (arguments["since"], arguments["until"]) == ("P30D", SCHEDULE_TIME)
    same = {key: value for key, value in delivery.arguments.items() if key != "until"}
    assert {key: arguments[key] for key in same} == same
    assert not any(folder.upload() for folder in delivery.folders)  # published


def test_apply_again_changes_nothing(apply, state):
    apply({"window": "P30D", "start": "2026-03-05", "end": "2027-03-05T06:00"})
    before = state.written
    assert apply({"window": "P30D", "start": "2026-03-05", "end": "2027-03-05T06:00"}) == []
    assert state.written == before


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"cron": "0 7 * * *"}, {"cron": ("0 */5 * * * *", "0 0 7 * * *")}),
        ({"catch_up": True}, {"catch_up": (False, True)}),
        ({"max_concurrency": 3}, {"max_concurrency": (1, 3)}),
        ({"parameters": {"seed": 7}}, {"parameters.seed": (20130101, 7)}),
        (
            {"end": "2027-01-01"},
            {"end": (None, datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC))},
        ),
        (
            {"start": "2026-05-01", "time_zone": "Asia/Tokyo"},
            {"start": (None, datetime.datetime(2026, 4, 30, 15, tzinfo=datetime.UTC))},
        ),
        ({"start": "2026-01-01"}, {}),
        ({"enabled": False}, {"enabled": (True, False)}),
    ],
)
def test_a_changed_declaration_is_planned_with_the_fields_that_change(apply, make_plan, changed, fields):
    apply({})
    (change,) = make_plan(changed)
    found = {key: pair for key, pair in fields_of(change).items() if key != "parameters.app_version"}
    assert found == fields
    assert change.action == (
        "unchanged" if not fields else "switch off" if "enabled" in fields else "replace"
    )


def test_a_window_is_planned_in_words(apply, make_plan):
    apply({})
    lines = "\n".join(plan_lines(make_plan({"window": "P1Y"}), datetime.UTC))
    assert "~ often: replace" in lines
    assert "    parameters.since: none → P1Y\n" in lines
    assert "    parameters.until: 2015-01-01 → the schedule's time\n" in lines
    assert "    fires next at 2026-03-02 12:05 UTC\n" in lines
    assert lines.endswith("1 to replace")


def test_a_schedule_that_runs_an_old_version_is_noticed(apply, make_plan, state):
    apply({})
    (version,) = state.versions.values()
    version["display_name"] = "0123456789abcdef"  # what other code or images would be called
    only(state)["runtime_config"]["parameters"]["app_uri"] += "-old"
    (change,) = make_plan({})
    assert change.action == "replace"
    assert change.why == (
        "it runs an old version: code, images or settings of the environment and app changed since"
    )


def test_a_schedule_whose_version_was_deleted_is_replaced(apply, make_plan, state):
    apply({})
    state.versions.clear()
    assert [change.action for change in make_plan({})] == ["replace"]


def test_what_is_no_longer_declared_goes_and_what_others_made_stays(apply, make_plan, state):
    apply({"name": "first"}, {"name": "second"})
    first = next(one for one in state.recurring.values() if one["display_name"] == "first")
    others = [
        {**first, "recurring_run_id": "by-hand", "description": "mine"},
        {
            **first,
            "recurring_run_id": "elsewhere",
            "description": first["description"].replace("stage", "prod"),
        },
    ]
    state.recurring |= {one["recurring_run_id"]: one for one in others}
    changes = make_plan({"name": "second"})
    assert [(one.name, one.action, one.why) for one in changes] == [
        ("second", "unchanged", ""),
        ("first", "remove", "no longer declared"),
    ]
    apply({"name": "second"})
    left = sorted(
        one["recurring_run_id"] for one in state.recurring.values() if one["display_name"] == "first"
    )
    assert left == ["by-hand", "elsewhere"]


def test_a_schedule_of_an_app_that_is_not_here_is_left_alone(apply, make_plan, state):
    apply({})
    only(state)["runtime_config"]["parameters"]["app"] = "churn"
    (change,) = make_plan()
    assert (change.action, "`penstock schedule delete`" in change.why) == ("keep", True)
    apply()
    assert len(state.recurring) == 1


def test_a_schedule_that_goes_is_kept_while_its_run_goes_on(apply, state):
    apply({})
    state.pass_time(330)
    (said,) = apply()
    assert said == (
        f"often: {only(state)['recurring_run_id']} fires no more, and stays until its run has ended "
        "(oftenx7k2p-0-1234567): KFP would end the run with it"
    )
    assert only(state)["mode"] == "DISABLE"
    state.pass_time(900)
    assert apply() == []
    assert not state.recurring
    assert [run["was_killed"] for run in state.fired] == [False]


def test_a_schedule_that_was_off_does_not_make_up_for_the_time_unless_told_to(apply, state):
    apply({"name": "a", "enabled": False}, {"name": "b", "enabled": False, "catch_up": True})
    state.pass_time(1000)
    assert not state.fired
    apply({"name": "a"}, {"name": "b", "catch_up": True})
    state.pass_time(40)
    assert not [run for run in state.fired if run["schedule"] == "a"]
    state.pass_time(300)
    assert [run["at"].minute for run in state.fired if run["schedule"] == "a"] == [20]


def test_a_schedule_that_somebody_switched_off_is_switched_on(apply, make_plan, state):
    apply({})
    only(state)["mode"] = "DISABLE"
    (change,) = make_plan({})
    assert fields_of(change) == {"enabled": (False, True)}
    apply({})
    assert [one["mode"] for one in state.recurring.values()] == ["ENABLE"]


def test_two_people_who_apply_at_once_leave_one(apply, state):
    apply({})
    made = only(state)
    state.recurring["theirs"] = {**made, "recurring_run_id": "theirs"}
    apply({"parameters": {"seed": 7}})
    state.recurring["late"] = {**only(state), "recurring_run_id": "late"}
    apply({"parameters": {"seed": 7}})
    assert [one["mode"] for one in state.recurring.values()] == ["ENABLE"]


def test_a_firing_that_a_changed_cron_line_drops_is_told(apply, state):
    apply({})
    state.run_s = 10_000  # the first run goes on and on, the next firing waits for its end
    state.pass_time(1000)
    said = apply({"cron": "30 * * * *"})
    assert said[0] == (
        "often: its firing of 2026-03-02 12:15 UTC, which has not begun yet, is dropped: the cron line changed"
    )
    state.pass_time(1000)
    assert [f"{run['at']:%H:%M}" for run in state.fired] == ["12:05", "12:30"]


def test_a_firing_that_waits_for_a_run_is_taken_over(apply, state):
    apply({})
    state.run_s = 10_000
    state.pass_time(1000)
    apply({"max_concurrency": 2})
    state.pass_time(100)
    assert [f"{run['at']:%H:%M}" for run in state.fired] == ["12:05", "12:15"]  # no catch-up: the last one


def test_a_controller_in_another_zone_than_declared_is_noticed(
    project, environment, backend, apply, state, lock
):
    apply({"cron": "30 13 * * *"})
    declared = environment.model_copy(
        update={"schedules": [Schedule(name="often", app="taxi", cron="30 13 * * *")]}
    )
    state.pass_time(2 * 3600)
    (change,) = plan(project, declared, backend, lock)
    assert change.warnings == ()
    state.fired[0]["at"] -= datetime.timedelta(hours=6)
    state.pass_time(10)
    (change,) = plan(project, declared, backend, lock)
    assert change.action == "unchanged"
    (warning,) = change.warnings
    assert warning == (
        "it fired for 2026-03-02 07:30 UTC, which is no time of '30 13 * * *' in UTC: KFP's schedule controller is "
        "in another zone than `cron_time_zone` says"
    )
    assert f"    ! {warning}" in plan_lines([change], datetime.UTC)


def test_a_service_account_that_kfp_does_not_give_is_told_and_asked_for_once(
    project, environment, backend, lock
):
    declared = environment.model_copy(
        update={
            "service_account": "steps",
            "schedules": [Schedule(name="often", app="taxi", cron="0 6 * * *")],
        }
    )
    said: list[str] = []
    carry_out(backend, plan(project, declared, backend, lock), said.append)
    sentence = (
        "its runs have the service account pipeline-runner, not steps: this version of KFP gives recurring runs the one "
        "of its API server (DEFAULTPIPELINERUNNERSERVICEACCOUNT; kubeflow/pipelines#13311)"
    )
    assert said == [f"often: {sentence}"]
    (change,) = plan(project, declared, backend, lock)
    assert (change.action, change.warnings) == ("unchanged", (sentence,))
    (change,) = plan(project, declared.model_copy(update={"service_account": "others"}), backend, lock)
    assert fields_of(change) == {"service_account": ("steps", "others")}


def test_a_plan_as_json_says_what_changes(apply, make_plan):
    apply({})
    told = json.loads(plan_json("stage", make_plan({"cron": "0 7 * * *"}), is_done=False))
    (schedule,) = told["schedules"]
    assert (told["environment"], told["applied"]) == ("stage", False)
    assert (schedule["name"], schedule["action"], schedule["cron"]) == ("often", "replace", "0 0 7 * * *")
    assert schedule["next_firing"] == "2026-03-03T07:00:00+00:00"
    assert {"field": "cron", "old": "0 */5 * * * *", "new": "0 0 7 * * *"} in schedule["fields"]


def test_a_fault_of_an_app_names_the_schedule(project, environment, lock):
    wrong = Schedule(name="often", app="taxi", cron="* * * * *", parameters={"sed": 7})
    with pytest.raises(UserError, match=r"^schedule often: .*did you mean 'seed'"):
        desire(project, environment, wrong, BEGAN, lock)


def penstock(project: Path, *arguments: str):
    """Run the command line in a project; nobody is at the keyboard."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli", "schedule", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path, environment) -> Path:
    """A checkout whose environment `stage` is the API."""
    for name in ("apps", "components", "images", "pipelines", "penstock", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "manifests" / "environments"
    folder.mkdir(parents=True)
    (folder / "stage.yaml").write_text(
        f"backend: kfp\nhost: {environment.host}\npipeline_root: s3://bucket/root\n"
        f"images: {environment.images}\nregistry_uri: {environment.registry_uri}\nschedules: []\n"
    )
    (folder / "local.yaml").write_text("backend: local\n")
    (folder / "cloud.yaml").write_text(
        "backend: vertex\nproject: p\nregion: europe-west1\npipeline_root: gs://b/root\nimages: r.example.com/p\n"
        "registry_uri: https://m.example.com\n"
        "schedules: [{name: weekly, app: taxi, cron: 0 6 * * mon, time_zone: America/Chicago, window: P1Y}]\n"
    )
    return tmp_path


def test_delete_asks_and_takes_only_ours(apply, state, checkout):
    apply({"name": "a"}, {"name": "b"})
    unknown = penstock(checkout, "delete", "c", "--env", "stage")
    assert (unknown.returncode, "there are: a, b" in unknown.stderr) == (2, True)
    nobody = penstock(checkout, "delete", "a", "--env", "stage")
    assert (nobody.returncode, len(state.recurring)) == (2, 2)
    assert nobody.stderr.endswith("there is nobody to ask: say --yes\n")
    done = penstock(checkout, "delete", "a", "--env", "stage", "--yes")
    assert (done.returncode, done.stdout) == (0, "deleted 1 of 1\n")
    assert [one["display_name"] for one in state.recurring.values()] == ["b"]


def test_plan_and_apply_of_nothing_on_the_command_line(apply, state, checkout):
    apply({})
    planned = penstock(checkout, "plan", "--env", "stage")
    assert (planned.returncode, planned.stdout) == (0, "- often: remove, no longer declared\n1 to remove\n")
    assert len(state.recurring) == 1
    applied = penstock(checkout, "apply", "--env", "stage", "--json")
    assert applied.returncode == 0, applied.stderr
    assert [one["action"] for one in json.loads(applied.stdout)["schedules"]] == ["remove"]
    assert not state.recurring


def test_no_schedules_on_this_machine_and_a_preview_for_vertex(checkout):
    local = penstock(checkout, "apply", "--env", "local")
    assert (local.returncode, local.stderr) == (
        2,
        "penstock: the environment local is this machine, where nothing fires schedules: `penstock run` runs now\n",
    )
    preview = penstock(checkout, "plan", "--env", "cloud")
    assert preview.returncode == 0, preview.stderr
    assert "    cron: TZ=America/Chicago 0 6 * * 1\n    max_concurrent_run_count: 1\n" in preview.stdout
    (told,) = json.loads(penstock(checkout, "plan", "--env", "cloud", "--json").stdout)["schedules"]
    assert (told["cron"], told["window"]) == ("TZ=America/Chicago 0 6 * * 1", "P1Y")
    refused = penstock(checkout, "apply", "--env", "cloud")
    assert (refused.returncode, "does not speak yet" in refused.stderr) == (2, True)


def test_a_run_of_a_schedule_is_shown_with_the_time_that_it_fired_for():
    run = {
        "scheduled_at": "2026-03-02T12:05:00Z",
        "runtime_config": {
            "parameters": {"since": "P30D", "until": SCHEDULE_TIME, "model_settings": {"a": 1}}
        },
    }
    shown = with_schedule_time(run)["runtime_config"]["parameters"]
    assert shown == {"since": "P30D", "until": "2026-03-02T12:05:00Z", "model_settings": {"a": 1}}
    assert run["runtime_config"]["parameters"]["until"] == SCHEDULE_TIME
    by_hand = {"runtime_config": {"parameters": {"until": "2015-01-01"}}}
    assert with_schedule_time(by_hand) == by_hand
