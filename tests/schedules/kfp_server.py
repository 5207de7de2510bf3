"""The API of tests/submit with recurring runs, and the controller that fires them, in a time of its own.

Both do what the source of KFP 2.14.3 says (backend/src/crd/controller/scheduledworkflow): the controller looks at
each recurring run every 30 seconds, counts from the last firing, else from start_time, else from its creation, makes
up for one firing after the other or, with no_catchup, for the last one only, and keeps to max_concurrency. The API
hears of a run a moment after it began. Deleting a recurring run ends its unfinished runs.
"""

import contextlib
import datetime
import re
import uuid
from typing import Any

from tests.submit import kfp_server
from tests.submit.kfp_server import API, RUN_FIELDS, KfpState, Refused

FIELDS = RUN_FIELDS | {"max_concurrency", "no_catchup", "mode", "trigger", "namespace"}
TICK_S = 30
BEGAN = datetime.datetime(2026, 3, 2, 12, 0, 7, tzinfo=datetime.UTC)  # a Monday
NUMBERS = re.compile(r"0 (\*|[0-9,]+|\*/[0-9]+) (\*|[0-9,]+) (\*|[0-9,]+) (\*|[0-9,]+) (\*|[0-9,]+)")


class ScheduleState(KfpState):
    """What the API holds, the time, and what the controller has done."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGAN
        self.recurring: dict[str, dict[str, Any]] = {}
        self.fired: list[dict[str, Any]] = []  # every run that ever began, reported or not
        self.call_s = 0.2  # what a call takes
        self.report_s = 2.0  # until the API hears of a run
        self.run_s = 100.0  # how long a run takes
        self.stalls: dict[str, tuple[float, float]] = {}  # call -> seconds before and after it is done, once
        self.next_tick = BEGAN

    @property
    def looked_at(self) -> datetime.datetime:
        """When the controller looked last."""
        return self.next_tick - datetime.timedelta(seconds=TICK_S)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with all that the controller does in it."""
        with self.lock:
            end = self.now + datetime.timedelta(seconds=seconds)
            while self.next_tick <= end:
                self.now = self.next_tick
                self.next_tick += datetime.timedelta(seconds=TICK_S)
                self._report()
                for one in list(self.recurring.values()):
                    self._fire(one)
            self.now = end
            self._report()

    def _fire(self, one: dict[str, Any]) -> None:
        if one["mode"] != "ENABLE":
            return
        mine = [run for run in self.fired if run["recurring_run_id"] == one["recurring_run_id"]]
        cron = one["trigger"]["cron_schedule"]
        start = to_moment(cron["start_time"]) if "start_time" in cron else to_moment(one["created_at"])
        last = max([run["at"] for run in mine], default=start)
        due = firings(cron["cron"], max(last, start), self.now)
        if "end_time" in cron:
            due = [moment for moment in due if moment <= to_moment(cron["end_time"])]
        if not due or sum(not run["ended"] for run in mine) >= int(one["max_concurrency"]):
            return
        at = due[-1] if one["no_catchup"] else due[0]
        self.fired.append(
            {
                "run_id": str(uuid.uuid4()),
                "recurring_run_id": one["recurring_run_id"],
                "schedule": one["display_name"],
                "cron": cron["cron"],
                "arguments": one["runtime_config"]["parameters"],
                "at": at,
                "began": self.now,
                "ended": False,
                "was_killed": False,
            }
        )

    def _report(self) -> None:
        for number, run in enumerate(self.fired):
            if (self.now - run["began"]).total_seconds() >= self.run_s:
                run["ended"] = True
            if (self.now - run["began"]).total_seconds() >= self.report_s:
                self.runs[run["run_id"]] = {
                    "run_id": run["run_id"],
                    "display_name": f"{run['schedule']}x7k2p-{number}-1234567",
                    "recurring_run_id": run["recurring_run_id"],
                    "state": "SUCCEEDED" if run["ended"] else "RUNNING",
                    "created_at": to_text(run["began"]),
                    "scheduled_at": to_text(run["at"]),
                }


class Handler(kfp_server.Handler):
    """Answers as KFP 2.14.3 does."""

    state: ScheduleState

    def _route(self, method: str, path: str, query: dict[str, str], content: bytes) -> dict[str, Any]:
        before, after = self.state.stalls.pop(f"{method} {path.partition(API)[2]}", (0.0, 0.0))
        self.state.pass_time(self.state.call_s + before)
        answer = self._answer_to(method, path, query, content)
        self.state.pass_time(after)
        return answer

    def _answer_to(self, method: str, path: str, query: dict[str, str], content: bytes) -> dict[str, Any]:
        state = self.state
        if method == "GET" and path == f"{API}/recurringruns":
            return {"recurringRuns": [dict(one) for one in state.recurring.values()]}
        if method == "POST" and path == f"{API}/recurringruns":
            return self._recurring(kfp_server._json(content, FIELDS))
        if match := re.fullmatch(rf"{API}/recurringruns/([^/:]+)(?::(enable|disable))?", path):
            return self._change(method, match[1], match[2])
        if method == "GET" and path == f"{API}/runs" and "recurring_run_id" in query.get("filter", ""):
            wanted = re.findall(r'"string_value":"([^"]+)"', query["filter"])[0]
            return {"runs": [run for run in state.runs.values() if run.get("recurring_run_id") == wanted]}
        if method == "GET" and (
            match := re.fullmatch(rf"{API}/pipelines/([^/]+)(?:/versions/([^/]+))?", path)
        ):
            kind, key = (state.versions, match[2]) if match[2] else (state.pipelines, match[1])
            if key not in kind:
                raise Refused(404, f"ResourceNotFoundError: {key} not found")
            return kind[key]
        return super()._route(method, path, query, content)

    def _recurring(self, body: dict[str, Any]) -> dict[str, Any]:
        state = self.state
        cron = body["trigger"]["cron_schedule"]["cron"]
        if not NUMBERS.fullmatch(cron):
            raise Refused(400, "Invalid input error: Schedule cron is not a supported format")
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise Refused(400, "Invalid input error: Max concurrency of a recurring run must be at least 1")
        if len(body["description"]) > 255:
            raise Refused(500, "Error 1406: Data too long for column 'Description'")
        reference = body["pipeline_version_reference"]
        assert state.versions[reference["pipeline_version_id"]]["pipeline_id"] == reference["pipeline_id"]
        assert body["experiment_id"] in state.experiments
        made = {
            **body,
            "recurring_run_id": str(uuid.uuid4()),
            "created_at": to_text(state.now),
            "service_account": "pipeline-runner",  # whatever was asked for: kubeflow/pipelines#13311
        }
        state.recurring[made["recurring_run_id"]] = made
        return dict(made)

    def _change(self, method: str, key: str, verb: str | None) -> dict[str, Any]:
        state = self.state
        if key not in state.recurring:
            raise Refused(404, f"ResourceNotFoundError: Job {key} not found.")
        if method == "GET":
            return dict(state.recurring[key])
        if method == "POST" and verb:
            state.recurring[key]["mode"] = verb.upper()
            return {}
        if method == "DELETE":
            del state.recurring[key]
            for run in state.fired:
                if run["recurring_run_id"] == key and not run["ended"]:
                    run["was_killed"] = run["ended"] = True
            return {}
        raise Refused(404, "404 page not found")


def firings(cron: str, after: datetime.datetime, until: datetime.datetime) -> list[datetime.datetime]:
    """Return the firings of a six-field line in UTC, found minute by minute."""
    match = NUMBERS.fullmatch(cron)
    assert match, cron
    found = []
    moment = after.replace(second=0, microsecond=0)
    while moment <= until:
        fields = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
        if moment > after and all(map(fits, match.groups(), fields)):
            found.append(moment)
        moment += datetime.timedelta(minutes=1)
    return found


def fits(text: str, value: int) -> bool:
    """Tell whether a field stands for a number."""
    if text.startswith("*"):
        return value % int(text[2:] or 1) == 0
    return value in map(int, text.split(","))


def to_text(moment: datetime.datetime) -> str:
    """Return a time as the API writes it, by the second."""
    return moment.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def to_moment(text: str) -> datetime.datetime:
    """Return a time of the API."""
    return datetime.datetime.fromisoformat(text)


def serving(state: ScheduleState) -> contextlib.AbstractContextManager[str]:
    """Serve a state on a free port; yield its address."""
    return kfp_server.serving(state, handler=Handler)
