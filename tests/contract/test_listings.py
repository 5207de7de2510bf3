"""Every step stands wherever steps are listed."""

import re
from pathlib import Path

import yaml

from penstock.generate.steps import step_names
from penstock.project import find_project

PROJECT = find_project(Path(__file__).parent)
STEPS = set(step_names(PROJECT))


def test_images_yaml_lists_every_step() -> None:
    listed = yaml.safe_load((PROJECT.images / "images.yaml").read_text())["steps"]
    assert STEPS ^ listed.keys() == set()


def test_every_stack_of_images_yaml_has_a_lock() -> None:
    listed = yaml.safe_load((PROJECT.images / "images.yaml").read_text())["steps"]
    stacks = {entry["stack"] for entry in listed.values()}
    assert {stack for stack in stacks if not (PROJECT.images / stack / "uv.lock").is_file()} == set()


def test_readme_lists_every_step() -> None:
    readme = (PROJECT.root / "README.md").read_text()
    assert STEPS ^ set(re.findall(r"\]\(components/(\w+)/README\.md\)", readme)) == set()


def test_every_step_has_its_files() -> None:
    wanted = ("__init__.py", "spec.py", "step.py", "component.yaml", "README.md")
    folder = PROJECT.root / "components"
    assert {f"{s}/{file}" for s in STEPS for file in wanted if not (folder / s / file).is_file()} == set()


def test_every_step_has_tests() -> None:
    folder = PROJECT.root / "tests" / "components"
    assert {step for step in STEPS if not list((folder / step).glob("test_*.py"))} == set()
