"""Who may import whom: it is what keeps images small and a change in one step in one image."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.generate.steps import step_names
from penstock.project import find_project

PROJECT = find_project(Path(__file__).parent)
STEPS = step_names(PROJECT)
COMPONENTS = PROJECT.root / "components"
SHARED = sorted(
    path.parent.name for path in COMPONENTS.glob("*/__init__.py") if path.parent.name not in STEPS
)
STANDARD_LIBRARY_ONLY = ["html_report", "step_io"]
OURS = "penstock.components."


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full name of all that a file imports."""
    package = ["penstock", "components", *path.relative_to(COMPONENTS).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (
                [module] if module != "penstock.components" else (f"{module}.{a.name}" for a in node.names)
            )


def imports_of_folder(name: str, without: tuple[str, ...] = ()) -> set[str]:
    """Return what the Python files of a folder under components/ import."""
    files = [path for path in (COMPONENTS / name).rglob("*.py") if path.name not in without]
    return {imported for path in files for imported in imports_of(path)}


def foreign(imported: set[str], allowed: set[str]) -> set[str]:
    """Return what comes from kfp, from our own code outside `allowed`, or from a bare `components`."""
    wrong = {
        name for name in imported if name.partition(".")[0] in ("kfp", "components", "pipelines", "tests")
    }
    ours = {name for name in imported if name.partition(".")[0] == "penstock"}
    return wrong | {name for name in ours if name.removeprefix(OURS).partition(".")[0] not in allowed}


@pytest.mark.parametrize("step", STEPS)
def test_step_imports_itself_and_shared_modules_only(step: str) -> None:
    assert foreign(imports_of_folder(step, without=("spec.py",)), {step, *SHARED}) == set()


@pytest.mark.parametrize("module", SHARED)
def test_shared_module_imports_no_step(module: str) -> None:
    assert foreign(imports_of_folder(module), set(SHARED)) == set()


@pytest.mark.parametrize("step", STEPS)
def test_spec_imports_kfp_only(step: str) -> None:
    assert set(imports_of(COMPONENTS / step / "spec.py")) == {"kfp"}


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_module_for_every_stack_imports_the_standard_library_only(module: str) -> None:
    imported = {name for name in imports_of_folder(module) if not name.startswith(OURS + module)}
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} == set()


def test_settings_that_the_command_line_reads_import_the_standard_library_only() -> None:
    imported = set(imports_of(COMPONENTS / "tabular_model" / "settings.py"))
    names = {name for name in imported if not name.startswith(OURS + "step_io")}
    assert {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names} == set()


@pytest.mark.parametrize("path", sorted(COMPONENTS.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_init_file_is_empty(path: Path) -> None:
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "path", [PROJECT.root / "penstock/__init__.py", PROJECT.root / "pipelines/__init__.py"]
)
def test_init_file_on_the_path_to_a_step_is_empty(path: Path) -> None:
    assert path.read_bytes() == b""
