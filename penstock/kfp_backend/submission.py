"""Starts the run of a delivery, unless a run of its name is there.

KFP knows no idempotency key: two runs named alike are two runs. So the name, which is a hash of all that the run
is made of, is looked for first, and once more after the run was made: of two people who submit the same at the
same moment the second gets the first one's run, and what was made twice is deleted before its first step. What
remains is a client that dies between the two looks.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.delivery import Delivery
from penstock.kfp_backend.client import API, ApiError, Backend, equals
from penstock.kfp_backend.upload import ensure_version
from penstock.serving_environment import account_of

ENDED_BADLY = ("FAILED", "CANCELED", "CANCELING")
# The API tells times by the second: after it, whoever came first has an earlier time, or we both see both.
SECOND_LOOK_S = 1.2


@dataclass(frozen=True)
class Submitted:
    """A run of KFP."""

    run_id: str
    name: str
    state: str  # KFP's: PENDING, RUNNING, SUCCEEDED, …
    is_new: bool
    created: str = ""


def submit(backend: Backend, delivery: Delivery, *, again: bool = False) -> Submitted:
    """Return the run of a delivery: one that is active or has succeeded, else a new one.

    The first run has the delivery's name; after one that failed or was cancelled comes <name>-2, and so on.

    Args:
        backend: Where it runs.
        delivery: What runs; its folders are uploaded before anything is registered.
        again: Make a new run, whatever is there.

    Raises:
        UserError: The pipeline root cannot be written to, or the API refuses.
    """
    earlier = attempts(backend, delivery.run_name)
    if earlier and not again:
        newest = earlier[max(earlier)]
        if newest.state not in ENDED_BADLY:
            return newest
    delivery.publish()
    pipeline_id, version_id = ensure_version(backend, delivery)
    experiment_id = ensure_experiment(backend, delivery.app)
    attempt = max(earlier, default=0) + 1
    name = delivery.run_name if attempt == 1 else f"{delivery.run_name}-{attempt}"
    made = _start(backend, delivery, name, pipeline_id, version_id, experiment_id)
    if again:
        return made
    time.sleep(SECOND_LOOK_S)
    return _first_of(backend, made)


def attempts(backend: Backend, name: str) -> dict[int, Submitted]:
    """Return the runs of a name by attempt; of two that have one name, the one that was made first.

    Runs that somebody archived are put away: their numbers count, they do not.
    """
    pattern = re.compile(rf"{re.escape(name)}(?:-([0-9]{{1,6}}))?")
    found: dict[int, Submitted] = {}
    for run in _runs(backend, name):
        match = pattern.fullmatch(run.name)
        if match:
            number = int(match[1] or 1)
            if number not in found or _age(run) < _age(found[number]):
                found[number] = run
    return found


def ensure_experiment(backend: Backend, name: str) -> str:
    """Return the id of the experiment of that name, made where needed; KFP groups runs by it."""
    if found := _find_experiment(backend, name):
        return found
    body = {"display_name": name, **backend.in_namespace}
    doing = f"make the experiment {name}"
    try:
        return str(backend.post(f"{API}/experiments", body, doing=doing)["experiment_id"])
    except ApiError as error:
        found = _find_experiment(backend, name)
        if not found:
            raise error
        return found


def _find_experiment(backend: Backend, name: str) -> str:
    answer = backend.get(
        f"{API}/experiments",
        doing=f"look for the experiment {name}",
        filter=equals("display_name", name),
        **backend.in_namespace,
    )
    return next((str(one["experiment_id"]) for one in answer.get("experiments") or []), "")


def _start(
    backend: Backend, delivery: Delivery, name: str, pipeline_id: str, version_id: str, experiment_id: str
) -> Submitted:
    environment = backend.environment
    body: dict[str, Any] = {
        "display_name": name,
        "description": f"{delivery.pipeline} of {delivery.app}, environment {environment.name}",
        "experiment_id": experiment_id,
        "pipeline_version_reference": {"pipeline_id": pipeline_id, "pipeline_version_id": version_id},
        "runtime_config": {
            "parameters": delivery.arguments,
            "pipeline_root": environment.pipeline_root,
        },
    }
    if account := account_of(environment, delivery.arguments):
        body["service_account"] = account
    answer = backend.post(f"{API}/runs", body, doing=f"start the run {name}")
    return _submitted(answer, is_new=True)


def _first_of(backend: Backend, made: Submitted) -> Submitted:
    """Return the run that keeps the name; delete ours when somebody else's was first."""
    same = [
        run for run in _runs(backend, made.name) if run.name == made.name and run.state not in ENDED_BADLY
    ]
    first = min(same, key=_age, default=made)
    if first.run_id == made.run_id:
        return made
    backend.delete(f"{API}/runs/{made.run_id}", doing=f"take back the second run {made.name}")
    return first


def _runs(backend: Backend, name: str) -> list[Submitted]:
    """Return the runs whose name contains a name."""
    found = backend.pages(
        f"{API}/runs",
        "runs",
        doing=f"look for the run {name}",
        filter=equals("display_name", name, "IS_SUBSTRING"),
    )
    return [_submitted(run, is_new=False) for run in found]


def _submitted(run: Mapping[str, Any], is_new: bool) -> Submitted:
    return Submitted(
        run_id=str(run["run_id"]),
        name=str(run.get("display_name") or ""),
        state="CANCELED" if run.get("storage_state") == "ARCHIVED" else str(run.get("state") or "PENDING"),
        is_new=is_new,
        created=str(run.get("created_at") or ""),
    )


def _age(run: Submitted) -> tuple[str, str]:
    return run.created, run.run_id
