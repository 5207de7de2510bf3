"""Run by the serving stack's Python, which holds the kserve SDK: builds its typed models from plain objects.

Reads a list of InferenceServices as JSON and prints what the SDK makes of them as JSON. A key that a model does not
know ends it, as does a value that a model refuses.
"""

import json
import re
import sys
from datetime import datetime
from typing import Any

import kserve.models
import kserve.models.knative_condition
import kubernetes.client

PLAIN = {"str": str, "int": int, "bool": bool, "float": float, "object": object}


def built(kind: str, value: Any, where: str) -> Any:
    """Return a model of the SDK for a plain value."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        return [built(found[1], one, f"{where}[{at}]") for at, one in enumerate(value)]
    if found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return {key: built(found[1], one, f"{where}.{key}") for key, one in value.items()}
    if kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            sys.exit(f"{where} is {value!r}, the SDK expects {kind}")
        return value
    if kind == "datetime":
        return datetime.fromisoformat(value)
    module = kserve.models.knative_condition if kind == "KnativeCondition" else kserve.models
    model = getattr(module, kind, None) or getattr(kubernetes.client, kind, None)
    if model is None:  # types without a class of their own: quantities, ints or strings, URLs
        return value
    names = {given: name for name, given in model.attribute_map.items()}
    if unknown := sorted(set(value) - set(names)):
        sys.exit(f"{where}: {kind} knows no {', '.join(unknown)}")
    kinds = model.openapi_types
    return model(
        **{names[key]: built(kinds[names[key]], one, f"{where}.{key}") for key, one in value.items()}
    )


def plain(value: Any) -> Any:
    """Return what a model stands for in JSON."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if not hasattr(value, "attribute_map"):
        return value
    held = {given: getattr(value, name) for name, given in value.attribute_map.items()}
    return {given: plain(one) for given, one in held.items() if one is not None}


objects = [built("V1beta1InferenceService", one, "InferenceService") for one in json.load(sys.stdin)]
json.dump(plain(objects), sys.stdout)
