"""What `penstock submit --dry-run` says: what would be sent where."""

import json
from collections.abc import Iterator
from typing import Any

from penstock.delivery import Delivery
from penstock.environment_models import Environment
from penstock.serving_environment import account_of

WIDTH = 12  # of the labels
LONGEST = 100  # characters of a value


def summary(delivery: Delivery, environment: Environment) -> str:
    """Return the lines that tell a delivery, without its text."""
    return "\n".join(f"{label:<{WIDTH}}{text}".rstrip() for label, text in _lines(delivery, environment))


def _lines(delivery: Delivery, environment: Environment) -> Iterator[tuple[str, str]]:
    yield "environment", f"{environment.name}: {environment.host}, namespace {environment.namespace}"
    yield (
        "pipeline",
        f"{delivery.pipeline}, version {delivery.version} ({len(delivery.text.encode()):,} bytes)",
    )
    yield "run", f"{delivery.run_name}, experiment {delivery.app}"
    if account := account_of(environment, delivery.arguments):
        yield "account", account
    yield from _labelled("images", _images(delivery))
    yield from _labelled("uploads", [f"{one.uri} ({one.size:,} bytes)" for one in delivery.folders])
    yield from _labelled("secrets", _secrets(environment))
    given = [f"{name} = {_shown(value)}" for name, value in delivery.arguments.items()]
    yield from _labelled("arguments", given)
    yield "", "nothing was sent"


def _images(delivery: Delivery) -> list[str]:
    executors = delivery.ir["deploymentSpec"]["executors"].values()
    return sorted({one["container"]["image"] for one in executors if "container" in one})


def _secrets(environment: Environment) -> list[str]:
    """Return a line for each secret, by name; values are not known here."""
    told = [f"{one.name} → {', '.join(one.steps) or 'all steps'}" for one in environment.secrets]
    if environment.notifications.secret:
        told.append(f"{environment.notifications.secret} → notify")
    return told


def _labelled(label: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for index, line in enumerate(lines):
        yield "" if index else label, line


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
