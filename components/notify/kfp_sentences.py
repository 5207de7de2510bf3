"""What became of a container that could not say it itself, in one sentence with what to do."""

import re

from penstock.components.notify.kfp_workflow import Node

TERMINATED = "Step exceeded its deadline"  # what KFP's way to end a run makes of the pods it ends
LAUNCHER = re.compile(r"^[IWEF]\d{4} \d\d:|^time=")  # lines of KFP's launcher and of Argo's executor
DRIVER_FATAL = re.compile(r"^F\d{4} .*\] KFP driver: .*?\) failed: (.*)$")
EXIT_CODE = re.compile(r"exit code (\d+)")
IMAGE_FAULT = re.compile(r"^(ImagePullBackOff|ErrImagePull|InvalidImageName|ErrImageNeverPull)\b")
IMAGE_REASONS = (
    ("not found", "there is no such image"),
    ("does not exist", "there is no such image"),
    ("unauthorized", "the registry refuses the cluster"),
    ("authentication", "the registry refuses the cluster"),
    ("denied", "the registry refuses the cluster"),
    ("no such host", "its registry cannot be found"),
    ("connection refused", "its registry cannot be reached"),
    ("timeout", "its registry does not answer"),
)
KILLED = "failed to execute component: signal: killed"  # the launcher outlived its child
LONGEST = 300


def is_termination(message: str) -> bool:
    """Tell whether a pod ended because someone ended the run."""
    return message == TERMINATED or ("strategy" in message and "Terminate" in message)


def pod_sentence(node: Node, step: str, log: str = "") -> str:
    """Return why a task without a step record failed, or why it waits; empty when there is nothing to say.

    Args:
        node: The task, with the platform's word on its last pod.
        step: Name of the step, for what to do.
        log: What its container logged.
    """
    message = node.message
    if node.state not in ("failed", "pending", "running"):
        return ""
    if "OOMKilled" in message:
        limit = node.limits.get("memory", "")
        than = f"more memory than its limit of {limit}" if limit else "more memory than its node has"
        return f"it used {than} and was killed (OOMKilled): raise the memory of {step} in images/images.yaml, then submit again"
    if IMAGE_FAULT.match(message):
        return _image_sentence(node, message)
    if "Unschedulable" in message or "nodes are available" in message:
        said = message.partition("Unschedulable:")[2].strip() or message
        return f"no node takes it ({_short(said)}): lower what {step} asks for, or add a node that fits"
    if "exceeded quota" in message:
        return f"the namespace's quota has no room for it ({_quota(message)}): wait for other runs, or raise the quota"
    if node.state != "failed":
        return ""
    if "longer than the specified deadline" in message or message == TERMINATED:
        return "it was ended at its time limit: raise the limit, or give it less to do"
    if "low on resource" in message or "EmptyDir" in message or "ephemeral" in message:
        return f"its node put it out ({_short(message)}): give {step} more disk, or write less"
    return _exit_sentence(message, log)


def _image_sentence(node: Node, message: str) -> str:
    reason = next((words for sign, words in IMAGE_REASONS if sign in message), "")
    image = node.image or "of this step"
    return (
        f"the image {image} cannot be pulled{f', {reason}' if reason else ''} ({message.partition(':')[0]}): "
        "push it (`make images`), or mend the registry in the environment file"
    )


def _quota(message: str) -> str:
    """Return what was asked for and what there is."""
    return _short(message.partition("exceeded quota:")[2] or message)


def _exit_sentence(message: str, log: str) -> str:
    found = EXIT_CODE.search(message)
    code = int(found.group(1)) if found else 0
    if code == 143 or "pod deleted" in message or "Terminated" in message:
        return "its pod was ended from outside (deleted, or its node was drained): `penstock runs retry` goes on from here"
    if code == 137 or KILLED in log:
        return "it was killed (SIGKILL), by its node or from outside: is the node short of memory?"
    if reason := driver_reason(log):
        return f"KFP could not begin it: {reason}"
    last = last_words(log)
    ended = (
        f"it ended with exit code {code} and left no record" if code else f"{_short(message) or 'it failed'}"
    )
    if last:
        return f"{ended}; its last words: {last}"
    return f"{ended}: look at its log" if code else ended


def driver_reason(log: str) -> str:
    """Return why a driver, which resolves a task's inputs, gave up; empty for any other log."""
    for line in reversed(log.splitlines()):
        if found := DRIVER_FATAL.match(line):
            return _short(found.group(1))
    return ""


def last_words(log: str) -> str:
    """Return the last line of a log that the container wrote itself; empty when it wrote none."""
    for line in reversed(log.splitlines()):
        if line.strip() and not LAUNCHER.match(line):
            return _short(line.strip())
    return ""


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
