from pathlib import Path

import pytest

import penstock
from penstock.errors import UserError
from penstock.local.python_path import python_path
from penstock.project import Project
from tests.local.toy import write

PACKAGE = Path(penstock.__file__).resolve().parent


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_HOME", raising=False)


def test_checkout_is_its_own_path() -> None:
    root = PACKAGE.parent

    assert python_path(Project(root)) == root


def test_project_without_the_package_gets_a_folder_with_nothing_but_a_link_to_it(tmp_path: Path) -> None:
    folder = python_path(Project(tmp_path))

    assert folder == tmp_path / ".penstock" / "python"
    assert [path.name for path in folder.iterdir()] == ["penstock"]
    assert (folder / "penstock").resolve() == PACKAGE
    assert python_path(Project(tmp_path)) == folder


def test_project_with_other_code_than_the_command_line_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "penstock" / "__init__.py", "")

    with pytest.raises(UserError) as caught:
        python_path(Project(tmp_path))

    assert str(caught.value) == (
        f"this command runs the code of {PACKAGE.parent}, the project is {tmp_path}: "
        "use the project's own environment (`pip install -e .` there)"
    )
