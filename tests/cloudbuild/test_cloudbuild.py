"""cloudbuild.yaml as Cloud Build would take it: its own message type, its scripts, and what they call."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from google.cloud.devtools import cloudbuild_v1
from google.protobuf import json_format

from penstock import cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "cloudbuild.yaml").read_text(encoding="utf-8")
BUILD: dict[str, Any] = yaml.safe_load(TEXT)
SHELLCHECK = str(Path(sys.executable).parent / "shellcheck")
STEPS: list[dict[str, Any]] = BUILD["steps"]
# https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
BUILT_IN = {"PROJECT_ID", "BUILD_ID", "LOCATION", "BRANCH_NAME", "TAG_NAME", "COMMIT_SHA", "SHORT_SHA"}
MAKE = re.compile(r"\bmake\b([^\n;&|]*)")
PENSTOCK = re.compile(r"\bpenstock (?!\.)([a-z][^\n;&|]*)")


def parsed() -> Any:
    return json_format.ParseDict(BUILD, cloudbuild_v1.Build.pb(cloudbuild_v1.Build()))


def scripts() -> list[tuple[str, str]]:
    return [(step["id"], step["script"]) for step in STEPS if "script" in step]


def test_build_parses_as_cloud_builds_own_message() -> None:
    build = parsed()
    assert [step.id for step in build.steps] == [
        "tools",
        "check",
        "test",
        "images",
        "compile",
        "record",
        "submit",
    ]
    assert build.timeout.ToSeconds() == 7200
    assert build.options.logging == cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY


def test_unknown_key_is_refused_by_the_message() -> None:
    wrong = {**BUILD, "step": []}
    with pytest.raises(json_format.ParseError, match="step"):
        json_format.ParseDict(wrong, cloudbuild_v1.Build.pb(cloudbuild_v1.Build()))


@pytest.mark.parametrize(("step", "script"), scripts(), ids=[step for step, _ in scripts()])
def test_script_passes_shellcheck(step: str, script: str) -> None:
    assert script.startswith("#!/usr/bin/env bash\nset -euo pipefail\n"), step
    done = subprocess.run(
        [SHELLCHECK, "--severity=style", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_targets_exist() -> None:
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {
        word
        for _, script in scripts()
        for words in MAKE.findall(script)
        for word in shlex.split(words)
        if "=" not in word
    }
    assert called == {"lint", "check", "test", "images", "compile", "submit"}
    assert called <= there


def test_penstock_commands_and_their_options_exist() -> None:
    cli.mount()
    root = typer.main.get_command(cli.app)
    called = [shlex.split(words) for _, script in scripts() for words in PENSTOCK.findall(script)]
    assert called
    for words in called:
        command: Any = root
        while hasattr(command, "commands"):
            assert words[0] in command.commands, words
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_substitutions_are_declared_and_used() -> None:
    body = TEXT.split("\nsteps:", 1)[1]
    declared = set(BUILD["substitutions"])
    used = set(re.findall(r"\$\{?([A-Z_][A-Z0-9_]*)", TEXT))
    assert {name for name in used if name.startswith("_")} <= declared
    assert {name for name in used if not name.startswith("_")} <= BUILT_IN | {"KUBECONFIG", "KUBECONFIG_TEXT"}
    read_by_branches = {"_ENV", "_PR_NUMBER"}
    source = (ROOT / "penstock" / "branches.py").read_text(encoding="utf-8")
    for name in declared:
        assert name in (source if name in read_by_branches else body), name


def test_secrets_are_named_never_given() -> None:
    available = {secret["env"] for secret in BUILD["availableSecrets"]["secretManager"]}
    asked = [name for step in STEPS for name in step.get("secretEnv", [])]
    assert set(asked) == available
    assert [step["id"] for step in STEPS if step.get("secretEnv")] == ["submit"]
    for secret in BUILD["availableSecrets"]["secretManager"]:
        assert re.fullmatch(
            r"projects/\$\{PROJECT_ID\}/secrets/[a-z0-9-]+/versions/latest", secret["versionName"]
        )


def test_variables_of_environment_files_are_given() -> None:
    """An environment file may read nothing that this build does not set or have a default for."""
    given = {entry.split("=")[0] for entry in BUILD["options"]["env"]}
    for path in (ROOT / "manifests" / "environments").glob("*.yaml"):
        lines = [line.split("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        for name, default in re.findall(r"\$\{([A-Za-z_]\w*)(:-)?", "\n".join(lines)):
            assert name in given or default, f"{path.name}: {name}"


def test_only_the_branchs_environment_is_submitted_to() -> None:
    for step, script in scripts():
        if step in ("images", "compile", "submit"):
            assert "python -m penstock.branches run make" in script
        assert "ENV=" not in script
