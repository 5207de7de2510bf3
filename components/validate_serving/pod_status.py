"""How the pod of a trial is, in sentences: why it does not start, and why its server ended.

What says something of the model (a crash, more memory than the limit) is the end of the server, and blocks. What says
something of the cluster (no room, no image, an eviction) fails the step: its outputs are in no cache then, and the same
run can be tried again.
"""

from dataclasses import dataclass
from typing import Any

from penstock.components.serving_targets.kubernetes_pods import (
    NOT_MADE,
    NOT_PULLED,
    SETTLED_S,
    condition,
    containers,
    ending,
    memory_limit,
    short,
)
from penstock.components.step_io.errors import StepError

ROOM_S = 900.0  # other steps end, or a node is added
IMAGE_S = 900.0  # 1.5 GB, to a node that is new to it

Json = dict[str, Any]


@dataclass(frozen=True)
class Waiting:
    """Why a pod's server has not begun.

    Attributes:
        text: The reason, as the end of a sentence.
        advice: What to do when it stays.
        patience_s: Once it has been so for this long, time will not mend it.
    """

    text: str
    advice: str
    patience_s: float


def waiting(pod: Json) -> Waiting | None:
    """Return why the server has not begun; None when it has."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Failed", "Succeeded"):
        return None
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return Waiting(
            f"no node has room for it: {short(scheduled.get('message', ''))}",
            "wait for others to end, add a node, or ask for less (serving.cpu and serving.memory of the environment)",
            ROOM_S,
        )
    for container in containers(pod):
        state = container.get("state") or {}
        if "running" in state or "terminated" in state:
            return None
        held = state.get("waiting") or {}
        reason, message = held.get("reason", ""), short(held.get("message", ""))
        if reason in NOT_PULLED:
            return Waiting(
                f"the image {container.get('image', '')} cannot be pulled: {message or reason}",
                "`make images` pushes it; a private registry needs a pull secret on the pod's service account",
                SETTLED_S,
            )
        if reason in NOT_MADE:
            return Waiting(
                f"its container cannot be made: {message or reason}",
                "correct the section `serving` of the environment",
                SETTLED_S,
            )
    return Waiting(
        "its image is being pulled, or its container made", "`kubectl describe pod` tells more", IMAGE_S
    )


def why_ended(name: str, pod: Json | None) -> str:
    """Return why a pod's server ended, as the end of a sentence; empty while it runs or waits.

    Raises:
        StepError: It was ended by the cluster, or by somebody: that tells nothing of the model.
    """
    if pod is None or ending(pod):
        raise StepError(
            f"the serving pod {name} was deleted while its model was tried: run the step again, and see who did it"
        )
    status = pod.get("status") or {}
    ended = next(
        (end for one in containers(pod) if (end := (one.get("state") or {}).get("terminated"))), None
    )
    if status.get("reason"):
        message = short(status.get("message", ""))
        raise StepError(
            f"the serving pod {name} was ended by the cluster ({status['reason']}{': ' * bool(message)}{message}): "
            "run the step again when it has room"
        )
    if ended is None:
        return ""
    if ended.get("reason") == "OOMKilled":
        limit = f"{memory_limit(pod)} (serving.memory_limit of the environment)"
        return f"was killed, it needs more memory than its limit of {limit},"
    return f"ended with exit code {ended.get('exitCode')}"
