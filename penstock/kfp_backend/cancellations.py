"""Who cancelled a run, and why: KFP calls it failed. Kept at <pipeline root>/runs/<run id>/cancelled.json."""

import datetime
import getpass
import json
import socket
import sys
from dataclasses import asdict, dataclass, replace

from penstock.components.model_registry.run_account import RunAccount
from penstock.components.step_io.record import now
from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.pipeline_root import PipelineRoot

NAME = "cancelled.json"


@dataclass(frozen=True)
class Cancellation:
    """One person's decision."""

    who: str
    why: str
    at: str  # ISO 8601

    @property
    def sentence(self) -> str:
        """What is said of the run."""
        at = datetime.datetime.fromisoformat(self.at).strftime("%Y-%m-%d %H:%M UTC")
        return f"cancelled by {self.who} at {at}: {self.why or 'no reason was given'}"


def ours(why: str) -> Cancellation:
    """Return the cancellation by whoever runs this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        user = "someone"
    return Cancellation(f"{user}@{socket.gethostname()}", why, now())


def remember(environment: Environment, run_id: str, cancellation: Cancellation) -> str:
    """Write a cancellation to the pipeline root; return where.

    Raises:
        UserError: The root cannot be written to.
    """
    root = PipelineRoot(environment)
    with root.clear_errors():
        path = f"{root.path}/{_below(run_id)}"
        root.filesystem.pipe_file(path, json.dumps(asdict(cancellation), ensure_ascii=False).encode())
    return f"{root.uri}/{_below(run_id)}"


def recall(environment: Environment, run_id: str) -> Cancellation | None:
    """Return how a run was cancelled; None when nobody wrote it down.

    Raises:
        UserError: The root cannot be read.
    """
    root = PipelineRoot(environment)
    with root.clear_errors():
        try:
            found = json.loads(root.filesystem.cat_file(f"{root.path}/{_below(run_id)}"))
            return Cancellation(str(found["who"]), str(found["why"]), str(found["at"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{root.uri}/{_below(run_id)} tells of no cancellation: delete it") from error


def told(environment: Environment, account: RunAccount) -> RunAccount:
    """Return the account of a run with who cancelled it and why, as far as anyone wrote it down."""
    if account.state not in ("cancelled", "cancelling"):
        return account
    try:
        found = recall(environment, account.id)
    except UserError as error:
        print(f"penstock: who cancelled {account.name} is not known: {error}", file=sys.stderr)
        return account
    return replace(account, error=found.sentence) if found else account


def _below(run_id: str) -> str:
    return f"runs/{run_id}/{NAME}"
