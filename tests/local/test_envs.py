from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.errors import UserError
from penstock.local.envs import STAMP, ensure_stack, ensure_stacks, environment_path, is_ready
from penstock.project import Project
from tests.local.toy import write

PYPROJECT = """[project]
name = "stack-{name}"
version = "1"
requires-python = "==3.11.*"
dependencies = []
[dependency-groups]
test = []
[tool.uv]
package = false
default-groups = []
"""
LOCK = """version = 1
revision = 3
requires-python = "==3.11.*"

[[package]]
name = "stack-{name}"
version = "1"
source = {{ virtual = "." }}
{more}
[package.metadata]

[package.metadata.requires-dev]
test = []
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two stacks without any package: uv needs no network for them."""
    monkeypatch.delenv("PENSTOCK_HOME", raising=False)
    write(tmp_path / "images" / "images.yaml", "steps:\n  one: {stack: a}\n  two: {stack: b}\n")
    for name in ("a", "b"):
        write(tmp_path / "images" / name / "pyproject.toml", PYPROJECT.format(name=name))
        write(tmp_path / "images" / name / "uv.lock", LOCK.format(name=name, more=""))
    return Project(tmp_path)


def test_environment_is_made_once_for_each_lock(project: Project) -> None:
    said: list[str] = []

    first = ensure_stack(project, "a", tell=said.append)
    again = ensure_stack(project, "a", tell=said.append)

    assert first == again == environment_path(project, "a") / "bin" / "python"
    assert first.exists()
    assert len(said) == 2  # begun, made
    write(project.images / "a" / "uv.lock", LOCK.format(name="a", more="# other\n"))
    assert not is_ready(project, "a")


def test_environment_without_its_stamp_is_made_again(project: Project) -> None:
    python = ensure_stack(project, "a")
    python.unlink()
    (environment_path(project, "a") / STAMP).unlink()

    ensure_stack(project, "a")

    assert python.exists()
    assert is_ready(project, "a")


def test_environment_with_tests_serves_runs_too(project: Project) -> None:
    ensure_stack(project, "a", test=True)

    assert is_ready(project, "a")
    assert is_ready(project, "a", test=True)


def test_several_stacks_are_made_together(project: Project) -> None:
    pythons = ensure_stacks(project, ["a", "b", "a"])

    assert list(pythons) == ["a", "b"]
    assert all(python.exists() for python in pythons.values())


def test_two_processes_asking_at_once_make_it_once(project: Project) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(ensure_stack, project, "a", False, said.append) for _ in range(2)]
        pythons = {future.result() for future in futures}

    assert len(pythons) == 1
    assert len(said) == 2


def test_failed_install_shows_what_uv_said_and_its_log(project: Project) -> None:
    write(project.images / "a" / "uv.lock", "version = 1\nnonsense\n")

    with pytest.raises(UserError) as caught:
        ensure_stack(project, "a")

    text = str(caught.value)
    log = environment_path(project, "a").with_name(f"{environment_path(project, 'a').name}.log")
    assert text.startswith("the environment of the stack a could not be installed (uv ended with 2); ")
    assert "nonsense" in text
    assert text.endswith(f"log: {log}")
    assert not is_ready(project, "a")


def test_unknown_stack_is_refused_with_the_nearest(project: Project) -> None:
    write(project.images / "tensorflow" / "uv.lock", "version = 1\n")

    with pytest.raises(UserError, match=r"there is no stack 'tensorflw' .*; did you mean 'tensorflow'\?"):
        ensure_stack(project, "tensorflw")


def test_given_python_is_used_as_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_STACK_PYTHON_A", "/bin/sh")
    assert ensure_stack(project, "a") == Path("/bin/sh")

    monkeypatch.setenv("PENSTOCK_STACK_PYTHON_A", "/nowhere/python")
    with pytest.raises(UserError, match="PENSTOCK_STACK_PYTHON_A is '/nowhere/python', which is no program"):
        ensure_stack(project, "a")
