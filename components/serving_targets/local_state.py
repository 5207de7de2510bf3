"""What is wanted of a local endpoint: state.json, replaced atomically, and history.jsonl.

    state.json    {"format": 1, "endpoint", "revision", "host", "port", "stopped", "weights": {version: percent},
                   "shadow": {"version", "percent"} | null, "versions": {version: {"model", "uri", "replicas"}},
                   "last_change": {...}}   # the line of the history that belongs to this revision
    history.jsonl one change a line

Many processes may change it; a lock beside it, and its revision, keep them apart. Only the supervisor acts on
it. A change counts once state.json is replaced: one killed before has changed nothing, and a line that a
killed process still owed to the history is written by the next change.
"""

import getpass
import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.components.model_registry.locks import file_lock
from penstock.components.serving_targets.target import Change, Conflict
from penstock.components.step_io.errors import StepError

FORMAT = 1
STATE = "state.json"
HISTORY = "history.jsonl"
LOCK = "state.lock"
SHOWN_IN_HISTORY = ("versions", "weights", "shadow", "stopped")

State = dict[str, Any]
Mutation = Callable[[State], None]


class StateFile:
    """The wanted state of one endpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / STATE

    def read(self) -> State | None:
        """Return the state; None when the endpoint was never made.

        Raises:
            StepError: The file cannot be read.
        """
        try:
            state = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StepError(
                f"{self.path} cannot be read ({error}): remove the folder {self.folder}, then serve anew"
            ) from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            found = state.get("format") if isinstance(state, dict) else state
            raise StepError(
                f"{self.path} has the format {found!r}, this version of Penstock writes {FORMAT}: "
                f"stop the endpoint and remove {self.folder}"
            )
        return state

    def create(self, endpoint: str, host: str, port: int) -> State:
        """Make the endpoint, or return it as it is; its address becomes the given one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_lock(self.folder / LOCK):
            state = self.read() or {
                "format": FORMAT,
                "endpoint": endpoint,
                "revision": 0,
                "stopped": False,
                "versions": {},
                "weights": {},
                "shadow": None,
                "last_change": None,
            }
            if (state.get("host"), state.get("port")) != (host, port):
                state |= {"host": host, "port": port}
                write_json(self.path, state)
            return state

    def change(
        self, action: str, mutate: Mutation, by: str, why: str, expected: int | None = None
    ) -> tuple[State, bool]:
        """Change the state under the lock and return it, and whether anything changed.

        Args:
            action: The word for the history.
            mutate: Changes a copy of the state; may raise StepError, then nothing changes.
            by: Who or what asks; empty: this process and its user.
            why: The reason, for the history.
            expected: The revision on which the caller decided; None: whatever it is.

        Raises:
            Conflict: The revision is another one.
            StepError: There is no such endpoint.
        """
        if not self.folder.is_dir():
            raise StepError(f"there is no endpoint {self.folder.name!r}: `penstock serve` makes one")
        with file_lock(self.folder / LOCK):
            before = self.read()
            if before is None:
                raise StepError(f"there is no endpoint {self.folder.name!r}: `penstock serve` makes one")
            if expected is not None and before["revision"] != expected:
                raise Conflict(
                    f"the endpoint {before['endpoint']} was changed in between (revision {before['revision']}, "
                    f"expected {expected}; last: {_last(before)}): look at it with `penstock endpoint show`, "
                    "then decide again"
                )
            after = json.loads(json.dumps(before))
            mutate(after)
            if after == before:
                return before, False
            self._complete_history(before)
            after["revision"] = before["revision"] + 1
            after["last_change"] = {
                "revision": after["revision"],
                "time": now(),
                "action": action,
                "by": by or whoever(),
                "why": why,
                "before": {key: before[key] for key in SHOWN_IN_HISTORY},
                "after": {key: after[key] for key in SHOWN_IN_HISTORY},
            }
            write_json(self.path, after)
            self._complete_history(after)
            return after, True

    def history(self) -> list[Change]:
        """Return all changes, the oldest first."""
        lines = self._lines()
        state = self.read()
        last = state and state["last_change"]
        if last and (not lines or lines[-1]["revision"] < last["revision"]):
            lines.append(last)
        return [Change(**line) for line in lines]

    def _complete_history(self, state: State) -> None:
        """Append the state's last change, unless it is there; a torn last line is cut off."""
        last = state["last_change"]
        if last is None:
            return
        path = self.folder / HISTORY
        content = path.read_bytes() if path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        with path.open("r+b" if path.is_file() else "wb") as file:
            file.truncate(len(whole))
            lines = whole.splitlines()
            if lines and json.loads(lines[-1])["revision"] >= last["revision"]:
                return
            file.seek(len(whole))
            file.write(json.dumps(last, ensure_ascii=False).encode() + b"\n")

    def _lines(self) -> list[dict[str, Any]]:
        path = self.folder / HISTORY
        content = path.read_bytes() if path.is_file() else b""
        return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def write_json(path: Path, content: object) -> None:
    """Write a file in one move: whoever reads it sees the old one or the new one."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def now() -> str:
    """Return the time, UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def whoever() -> str:
    """Return who asks: the user and the process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}, process {os.getpid()}"


def _last(state: State) -> str:
    last = state["last_change"]
    return f"{last['action']} by {last['by']} at {last['time'][:19]}Z" if last else "none"
