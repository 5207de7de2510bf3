"""Where a pipeline goes: manifests/environments/<name>.yaml, typed and checked before anything is sent.

A file holds names, never values, of what is secret. `${VARIABLE}` and `${VARIABLE:-default}` stand for a value
of the machine that submits, so that one file serves a laptop and CI.
"""

import os
import re
from pathlib import Path
from typing import Any

from penstock.app_faults import model_faults
from penstock.app_yaml import AppError, Document, Fault, KeyPath, read_document
from penstock.environment_checks import faults_of
from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def environments_folder(project: Project) -> Path:
    """Return the folder with one file per environment."""
    return project.root / "manifests" / "environments"


def environment_names(project: Project) -> list[str]:
    """Return the names of the environments, sorted."""
    return sorted(path.stem for path in environments_folder(project).glob("*.yaml"))


def load_environment(project: Project, name: str) -> Environment:
    """Return an environment of the project.

    Raises:
        UserError: There is no such environment.
        AppError: Its file is wrong; every fault with its line.
    """
    names = environment_names(project)
    if name not in names:
        folder = environments_folder(project)
        there = f"there are: {', '.join(names)}" if names else "there is none yet"
        raise UserError(
            f"{name!r} is no environment of {folder}{did_you_mean(name, names)} ({there}; "
            f"a new one is a new file {folder.name}/<name>.yaml)"
        )
    path = environments_folder(project) / f"{name}.yaml"
    return read_environment(path, str(path.relative_to(project.root)))


def read_environment(path: Path, shown: str) -> Environment:
    """Return the environment in a file; `shown` is what errors call the file.

    Raises:
        AppError: The file is wrong; every fault with its line.
    """
    document = read_document(path, shown)
    faults = list(document.faults)
    document.value = _expanded(document.value, (), document, faults)
    if "name" in document.value:
        faults.append(document.fault(("name",), "an environment has the name of its file: take this key out"))
    if faults:
        raise AppError(faults)
    document.value = {"name": path.stem, **document.value}
    environment, wrong = model_faults(document, Environment)
    if environment is None:
        raise AppError(wrong)
    if wrong := faults_of(environment, document):
        raise AppError(wrong)
    return environment


def _expanded(value: Any, path: KeyPath, document: Document, faults: list[Fault]) -> Any:
    """Return a value with each ${VARIABLE} replaced; one without value or default is a fault."""
    if isinstance(value, dict):
        return {key: _expanded(item, (*path, key), document, faults) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, (*path, index), document, faults) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        variable, default = match.groups()
        found = os.environ.get(variable) or default
        if found is None:
            faults.append(
                document.fault(path, f"the environment variable {variable} is not set and has no default")
            )
            return ""
        return found

    return VARIABLE.sub(replace, value)
