"""Evaluates the conditions of dsl.If, dsl.Elif and dsl.Else.

kfp.local 2.17 resolves only outputs named `Output`, takes any other for false without a word, and pastes
values into the text that it evaluates, where a quote breaks it. Here values are variables.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

REFERENCE = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
NAMES = {"true": True, "false": False, "null": None, "int": int, "float": float, "str": str, "bool": bool}


def evaluate(condition: str, value_of: Callable[[str], Any]) -> bool:
    """Return whether a condition holds.

    >>> evaluate("inputs.parameter_values['a'] == 'its' && !(int(inputs.parameter_values['n']) > 3)",
    ...          {"a": "its", "n": 3}.get)
    True

    Args:
        condition: In CEL, as the KFP compiler writes it.
        value_of: Returns the value of an input by its name.
    """
    values: dict[str, Any] = {}

    def variable(found: re.Match[str]) -> str:
        name = f"value_{len(values)}"
        values[name] = value_of(found.group(1))
        return name

    text = REFERENCE.sub(variable, condition).replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"!(?!=)", " not ", text)
    return bool(eval(text.strip(), {"__builtins__": {}}, {**NAMES, **values}))


def producers(ir: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return, for each input that a task's output feeds, the task and the name of its output."""
    found = {}
    dags = [
        ir["root"]["dag"],
        *(component["dag"] for component in ir["components"].values() if "dag" in component),
    ]
    for dag in dags:
        for task in dag["tasks"].values():
            for name, value in task.get("inputs", {}).get("parameters", {}).items():
                if "taskOutputParameter" in value and name.startswith("pipelinechannel--"):
                    output = value["taskOutputParameter"]
                    found[name] = (output["producerTask"], output["outputParameterKey"])
    return found
