"""What the generated files of a step are made from: its spec and its place in the pipelines.

All of it is read from sources and from the compiled pipelines, nothing is imported.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.project import Project
from penstock.signature import Parameter, read_signature

ARTIFACT = re.compile(r"(Input|Output)\[(\w+)\]")
OUTPUT_PARAMETER = re.compile(r"OutputPath\((\w+)\)")
FILLED_BY_THE_BACKEND = "PipelineTaskFinalStatus"


@dataclass(frozen=True)
class Port:
    """One thing that goes into a step or comes out of it."""

    name: str
    type: str  # str, int, ...; Dataset, HTML, ...
    doc: str
    required: bool = True
    default: Any = None


@dataclass(frozen=True)
class Step:
    """A step as its spec.py declares it."""

    name: str
    stack: str
    summary: str  # the docstring's first paragraph
    details: str  # what comes after it
    inputs: list[Port]
    parameters: list[Port]
    output_artifacts: list[Port]
    output_parameters: list[Port]


def step_names(project: Project) -> list[str]:
    """Return the names of all steps: folders under components/ with a spec.py; sorted."""
    return sorted(path.parent.name for path in (project.root / "components").glob("*/spec.py"))


def read_steps(project: Project) -> list[Step]:
    """Return all steps of the project, sorted by name."""
    images = yaml.safe_load((project.images / "images.yaml").read_text(encoding="utf-8"))["steps"]
    folder = project.root / "components"
    return [
        read_step(folder / name / "spec.py", name, images.get(name, {}).get("stack", "?"))
        for name in step_names(project)
    ]


def read_step(spec: Path, name: str, stack: str) -> Step:
    """Return a step from its spec.py."""
    signature = read_signature(spec, name)
    text, docs = split_docstring(signature.docstring)
    summary, _, details = text.partition("\n\n")
    step = Step(name, stack, summary, details, [], [], [], [])
    for parameter in signature.parameters.values():
        ports, port = _port(step, parameter, docs.get(parameter.name, ""))
        ports.append(port)
    return step


def split_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the paragraphs before `Args:` and the words about each argument, each on one line."""
    head, _, tail = docstring.partition("\nArgs:\n")
    docs: dict[str, list[str]] = {}
    name = ""
    for line in tail.splitlines():
        if found := re.match(r" {4}(\w+): (.*)", line):
            name = found[1]
            docs[name] = [found[2]]
        elif line.startswith(" " * 8) and name:
            docs[name].append(line.strip())
        elif line.strip() and not line.startswith(" "):
            break  # Returns:, Raises:
    paragraphs = [_joined(paragraph.splitlines()) for paragraph in head.strip().split("\n\n")]
    return "\n\n".join(paragraphs), {name: _joined(lines) for name, lines in docs.items()}


def _joined(lines: list[str]) -> str:
    """Join wrapped lines; a word that was broken at its hyphen is whole again."""
    return re.sub(r"(?<=\w)-\s*\n\s*(?=\w)", "-", "\n".join(lines)).replace("\n", " ").strip()


def _port(step: Step, parameter: Parameter, doc: str) -> tuple[list[Port], Port]:
    """Return a parameter of the spec as a port, with the list that it belongs to."""
    if artifact := ARTIFACT.fullmatch(parameter.type):
        ports = step.inputs if artifact[1] == "Input" else step.output_artifacts
        return ports, Port(parameter.name, artifact[2], doc)
    if output := OUTPUT_PARAMETER.fullmatch(parameter.type):
        return step.output_parameters, Port(parameter.name, output[1], doc)
    return step.parameters, Port(parameter.name, parameter.type, doc, parameter.required, parameter.default)
