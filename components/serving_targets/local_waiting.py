"""Waits for what the supervisor of a local endpoint says, and notices when it says nothing more."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from penstock.components.serving_targets.local_launch import is_running, read_status
from penstock.components.serving_targets.local_state import State, StateFile
from penstock.components.step_io.errors import StepError

POLL_S = 0.05
DEAD_S = 5.0  # without a supervisor: it is given time to start

Reached = Callable[[State, Mapping[str, Any]], bool]  # of the wanted state and the supervisor's status


class NotYet(Exception):
    """What was waited for did not come in time."""


class Failed(Exception):
    """What was waited for will not come."""


def wait_for(file: StateFile, wait_s: float, reached: Reached) -> None:
    """Wait until the state and the supervisor's word satisfy `reached`, which may raise Failed.

    Raises:
        NotYet: They did not within `wait_s` seconds.
        Failed: The supervisor has ended, or `reached` says so.
    """
    deadline = time.monotonic() + wait_s
    dead_since = 0.0
    while True:
        status = read_status(file.folder)
        state = file.read()
        if state is None:
            raise StepError(f"the endpoint {file.folder.name!r} was removed meanwhile")
        if status and reached(state, status):
            return
        now = time.monotonic()
        if status or is_running(file.folder):
            dead_since = 0.0
        else:
            dead_since = dead_since or now
            if now - dead_since > DEAD_S:
                raise Failed("the supervisor has ended; see logs/supervisor.log")
        if now > deadline:
            raise NotYet(str(status.get("problem", "")))
        time.sleep(POLL_S)
