"""Which branch goes to which environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.branches import environment_of
from penstock.errors import UserError
from penstock.project import Project, find_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose branches the tests may write."""
    folder = tmp_path / "manifests" / "environments"
    folder.mkdir(parents=True)
    for name in ("test", "prod"):
        (folder / f"{name}.yaml").write_text("backend: local\n")
    for marker in ("components", "images", "pipelines", "apps"):
        (tmp_path / marker).mkdir()
    (tmp_path / "images" / "images.yaml").write_text("steps: {}\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "penstock"\n')
    branches(tmp_path, "- {pattern: main, environment: test}", "- {pattern: release/*, environment: prod}")
    return find_project(tmp_path)


def branches(root: Path, *rules: str) -> None:
    (root / "manifests" / "branches.yaml").write_text(
        "branches:\n" + "".join(f"  {rule}\n" for rule in rules)
    )


@pytest.mark.parametrize(
    ("variables", "environment", "reason"),
    [
        ({"BRANCH_NAME": "main"}, "test", "the branch main goes there"),
        ({"BRANCH_NAME": "release/1.2"}, "prod", "the branch release/1.2 goes there"),
        ({"BRANCH_NAME": "main2"}, "", "the branch main2 goes to no environment (manifests/branches.yaml)"),
        ({"BRANCH_NAME": "main", "_ENV": "prod"}, "prod", "the substitution _ENV says so"),
        ({"BRANCH_NAME": "main", "_PR_NUMBER": "7"}, "", "pull request 7 is not merged"),
        ({"BRANCH_NAME": "", "_ENV": ""}, "", "the build has no branch, and no substitution _ENV"),
    ],
)
def test_environment_follows_branch(
    project: Project, variables: dict[str, str], environment: str, reason: str
) -> None:
    assert environment_of(project, variables) == (environment, reason)


def test_first_pattern_decides(project: Project) -> None:
    branches(project.root, '- {pattern: "m*", environment: prod}', "- {pattern: main, environment: test}")
    assert environment_of(project, {"BRANCH_NAME": "main"})[0] == "prod"


def test_unknown_environment_is_refused_with_the_nearest(project: Project) -> None:
    branches(project.root, "- {pattern: dev, environment: tset}")
    with pytest.raises(UserError, match=r"branches.yaml names the environment 'tset'.* did you mean 'test'"):
        environment_of(project, {"BRANCH_NAME": "main"})
    with pytest.raises(UserError, match="the substitution _ENV names the environment 'none'"):
        environment_of(project, {"_ENV": "none"})


@pytest.mark.parametrize(
    "text", ["branches: 3", "rules: []", "branches: [main]", "branches: [{pattern: x}]", "{"]
)
def test_file_that_is_no_list_of_rules_is_refused(project: Project, text: str) -> None:
    (project.root / "manifests" / "branches.yaml").write_text(text)
    with pytest.raises(UserError, match="cannot be read"):
        environment_of(project, {"BRANCH_NAME": "main"})


def test_own_branches_name_environments_that_are_there() -> None:
    project = find_project(ROOT)
    assert environment_of(project, {"BRANCH_NAME": "main"})[0] == "test"
    assert environment_of(project, {"BRANCH_NAME": "some/feature"})[0] == ""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("BRANCH_NAME", "_ENV", "_PR_NUMBER")}
    return subprocess.run(
        [sys.executable, "-m", "penstock.branches", *arguments],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_runs_with_the_environment_and_its_exit_code_comes_back() -> None:
    done = run("run", "sh", "-c", 'echo "$0"; exit 3', BRANCH_NAME="main")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1] == "ENV=test"


def test_command_is_skipped_for_a_branch_that_goes_nowhere() -> None:
    done = run("run", "false", BRANCH_NAME="feature")
    assert done.returncode == 0
    assert done.stdout.startswith("skipped, the branch feature goes to no environment")


def test_wrong_use_is_one_sentence_and_exit_code_2() -> None:
    assert run("run").returncode == 2
    done = run("environment", _ENV="nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
