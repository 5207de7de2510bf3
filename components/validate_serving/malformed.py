"""Requests that no model should answer: each must get status 400 and a sentence, and leave the server well."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.validate_serving.clients import Unanswered, post

TRACES = ("Traceback (most recent call last)", 'File "/')


@dataclass(frozen=True)
class Malformed:
    """A request that is wrong in one way."""

    name: str
    body: bytes


def malformed(instance: Mapping[str, Any], inputs: Mapping[str, str]) -> list[Malformed]:
    """Return wrong requests, made of one right instance."""
    first, dtype = next(iter(inputs.items()))
    unknown = "not_a_feature_of_this_model"
    wrong = {"a": 1} if dtype == "string" else "not a number"

    def v1(*rows: Any) -> bytes:
        return json.dumps({"instances": list(rows)}).encode()

    return [
        Malformed("no JSON", b'{"instances": [{'),
        Malformed("no instances", b"{}"),
        Malformed("an instance that is a number", v1(7)),
        Malformed("an unknown feature", v1({**instance, unknown: 1})),
        Malformed("a value of the wrong type", v1({**instance, first: wrong})),
        Malformed("a list where one value belongs", v1({**instance, first: [instance.get(first)] * 2})),
        Malformed("a bad row after a good one", v1(instance, {**instance, first: wrong})),
    ]


def refused_wrongly(base: str, model: str, requests: Sequence[Malformed]) -> list[str]:
    """Send the requests; return, for each that did not get a clean 400, what it got."""
    faults = []
    for request in requests:
        try:
            status, text = post(f"{base}/v1/models/{model}:predict", request.body)
        except Unanswered as error:
            faults.append(f"{request.name} {error}")
            continue
        if status != 400:
            faults.append(f"{request.name} got status {status} instead of 400")
        elif any(mark in text for mark in TRACES):
            faults.append(f"{request.name} got a stack trace")
    return faults
