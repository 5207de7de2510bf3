"""Why the pods of a version are not ready, in Kubernetes' own words: the image, a crash, memory, no room."""

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
LastLine = Callable[[str, bool], str]  # pod, whether of the container before → its last line

NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
NOT_MADE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
CRASHES = 2  # restarts after which waiting longer is no use
LONGEST_LINE = 300
NO_LOG = "unable to retrieve container logs"  # what a node says in place of a log
SETTLED_S = 15.0  # a registry or a secret may be a moment late


@dataclass(frozen=True)
class Problem:
    """Why a pod does not serve."""

    text: str
    patience_s: float = math.inf  # once it has been there this long, time will not mend it


def pods_problem(pods: list[Json], last_line: LastLine) -> Problem | None:
    """Return the gravest problem of the pods; None if all are ready or only begin.

    Args:
        pods: As the API returns them; those that end are passed over.
        last_line: Reads the last line of a log.
    """
    found = [problem for pod in pods if not ending(pod) and (problem := _problem(pod, last_line))]
    return min(found, key=lambda problem: problem.patience_s, default=None)


def being_made(pods: list[Json]) -> bool:
    """Tell whether a pod waits for its image or its volumes, which can take minutes on a node that is new to it."""
    waiting = [(one.get("state") or {}).get("waiting") or {} for pod in pods for one in containers(pod)]
    return any(one.get("reason") == "ContainerCreating" for one in waiting)


def restarts(pods: list[Json]) -> int:
    """Return how often containers of the pods were started anew."""
    return sum(one.get("restartCount", 0) for pod in pods for one in containers(pod))


def is_ready(pod: Json) -> bool:
    """Tell whether a pod is sent requests."""
    return not ending(pod) and condition(pod, "Ready").get("status") == "True"


def ending(pod: Json) -> bool:
    """Tell whether a pod was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def refused_pods(deployment: Json) -> Problem | None:
    """Return why no pod is made for a Deployment (a quota, an account that is not there), if so."""
    for one in (deployment.get("status") or {}).get("conditions") or []:
        if one["type"] == "ReplicaFailure" and one["status"] == "True":
            return Problem(f"no pod can be made: {short(one.get('message', ''))}", SETTLED_S)
    return None


def _problem(pod: Json, last_line: LastLine) -> Problem | None:
    if is_ready(pod):
        return None
    name = pod["metadata"]["name"]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return Problem(f"no node has room for it: {short(scheduled.get('message', ''))}")
    if (pod.get("status") or {}).get("phase") == "Failed":
        status = pod["status"]
        return Problem(
            f"pod {name} failed: {status.get('reason', '')} {short(status.get('message', ''))}".rstrip()
        )
    for container in containers(pod):
        state, before = container.get("state") or {}, (container.get("lastState") or {}).get("terminated")
        waiting = state.get("waiting") or {}
        reason, message = waiting.get("reason", ""), short(waiting.get("message", ""))
        if reason in NOT_PULLED:
            return Problem(
                f"the image {container.get('image', '')} cannot be pulled: {message or reason}", SETTLED_S
            )
        if reason in NOT_MADE:
            return Problem(f"the container cannot be made: {message or reason}", SETTLED_S)
        ended = state.get("terminated") or before
        if ended:
            patience_s = 0.0 if container.get("restartCount", 0) >= CRASHES else math.inf
            return Problem(_crash(pod, container, ended, last_line, "terminated" not in state), patience_s)
        if "running" in state:
            said = last_line(name, False)
            return Problem(f"pod {name} runs and is not ready" + (f"; it said last: {said}" if said else ""))
    return None


def _crash(pod: Json, container: Json, ended: Json, last_line: LastLine, previous: bool) -> str:
    times = f" ({container['restartCount']} restarts)" if container.get("restartCount") else ""
    if ended.get("reason") == "OOMKilled":
        return f"the server was killed, it needs more memory than its limit of {memory_limit(pod)}{times}"
    said = last_line(pod["metadata"]["name"], previous) or last_message(ended.get("message", ""))
    sentence = f"the server ended with exit code {ended.get('exitCode')}{times}"
    return f"{sentence}; it said last: {said}" if said else sentence


def memory_limit(pod: Json) -> str:
    """Return the limit of a pod's first container, as it was written."""
    limits = (pod["spec"]["containers"][0].get("resources") or {}).get("limits") or {}
    return str(limits.get("memory", "none"))


def containers(pod: Json) -> list[Json]:
    """Return how a pod's containers are; empty before its node has taken it."""
    return list((pod.get("status") or {}).get("containerStatuses") or [])


def condition(pod: Json, kind: str) -> Json:
    """Return a condition of a pod; empty where it has none of the kind."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def last_message(log: str) -> str:
    """Return what the last line of a server's log says; our own servers write JSON."""
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith(NO_LOG)]
    if not lines:
        return ""
    with contextlib.suppress(ValueError):
        entry = json.loads(lines[-1])
        if isinstance(entry, dict) and isinstance(entry.get("message"), str):
            return str(entry["message"])[:LONGEST_LINE]
    return lines[-1][:LONGEST_LINE]


def short(text: str) -> str:
    """Return a message of Kubernetes as the end of a sentence."""
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= 400 else f"{text[:150]} … {text[-250:]}"  # the cause comes last
