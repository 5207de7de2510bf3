"""Where a branch goes, for CI: run a command for the branch's environment, or say why not.

    python -m penstock.branches run make images submit    # becomes: make images submit ENV=test
    python -m penstock.branches environment               # prints: test

It reads manifests/branches.yaml and what Cloud Build knows of the build: BRANCH_NAME, _PR_NUMBER, and _ENV, which
names an environment whatever the branch is.
"""

import fnmatch
import os
import subprocess
import sys
from collections.abc import Mapping

import yaml

from penstock.environments import environment_names
from penstock.errors import UserError
from penstock.nearest import did_you_mean
from penstock.project import Project, find_project

FILE = "manifests/branches.yaml"
USAGE = "usage: python -m penstock.branches environment | run COMMAND [ARGUMENT]..."


def environment_of(project: Project, variables: Mapping[str, str]) -> tuple[str, str]:
    """Return the environment of a build, or "", and the reason as half a sentence.

    Raises:
        UserError: The file is wrong, or names an environment that is not there.
    """
    names = environment_names(project)
    if named := variables.get("_ENV", ""):
        return _checked(named, names, "the substitution _ENV"), "the substitution _ENV says so"
    rules = _rules(project, names)
    if number := variables.get("_PR_NUMBER", ""):
        # Its branch has the name that its author gave it, `prod` for instance.
        return "", f"pull request {number} is not merged"
    branch = variables.get("BRANCH_NAME", "")
    if not branch:
        return "", "the build has no branch, and no substitution _ENV"
    for pattern, environment in rules:
        if fnmatch.fnmatchcase(branch, pattern):
            return environment, f"the branch {branch} goes there"
    return "", f"the branch {branch} goes to no environment ({FILE})"


def _rules(project: Project, names: list[str]) -> list[tuple[str, str]]:
    """Return the patterns and their environments, in the order of the file."""
    path = project.root / FILE
    try:
        rules = [
            (str(rule["pattern"]), str(rule["environment"]))
            for rule in yaml.safe_load(path.read_text(encoding="utf-8"))["branches"]
        ]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: it says which branch goes to which environment") from None
    except (yaml.YAMLError, TypeError, KeyError) as error:
        wanted = "`branches`, a list of {pattern: ..., environment: ...}"
        raise UserError(f"{path} cannot be read ({type(error).__name__}): it holds {wanted}") from error
    return [(pattern, _checked(environment, names, FILE)) for pattern, environment in rules]


def _checked(environment: str, names: list[str], where: str) -> str:
    if environment not in names:
        raise UserError(
            f"{where} names the environment {environment!r}, which manifests/environments/ has not"
            f"{did_you_mean(environment, names)}"
        )
    return environment


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit code, that of the command if one is run."""
    if arguments != ["environment"] and (len(arguments) < 2 or arguments[0] != "run"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        environment, reason = environment_of(find_project(), os.environ)
    except UserError as error:
        print(f"penstock: {error}", file=sys.stderr)
        return error.exit_code
    if arguments[0] == "environment":
        print(environment)
        return 0
    if not environment:
        print(f"skipped, {reason}: {' '.join(arguments[1:])}", flush=True)
        return 0
    command = [*arguments[1:], f"ENV={environment}"]
    print(f"{environment}, {reason}: {' '.join(command)}", flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
