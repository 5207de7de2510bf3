"""manifests/environments/local.yaml counts for runs on this machine."""

import os
from pathlib import Path

import pytest

from penstock.environment_models import NOTIFY_VARIABLE
from penstock.environments import environments_folder
from penstock.local.local_environment import local_environment, name_notifications
from penstock.project import find_project
from tests.local.toy import Toy


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write local.yaml of an empty project."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "images.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NOTIFY_VARIABLE, raising=False)

    def write(text: str):
        project = find_project(tmp_path)
        environments_folder(project).mkdir(parents=True)
        (environments_folder(project) / "local.yaml").write_text(f"backend: local\n{text}")
        return project

    return write


def test_without_a_file_nothing_is_said(tmp_path: Path, declare):
    assert local_environment(find_project(tmp_path)).parameters == {}


def test_notify_finds_urls_in_a_variable_of_another_name(declare, monkeypatch: pytest.MonkeyPatch):
    project = declare("notifications: {variable: TEAM_CHANNEL}\n")
    monkeypatch.setenv("TEAM_CHANNEL", "json://localhost:1")
    name_notifications(local_environment(project))
    assert os.environ[NOTIFY_VARIABLE] == "json://localhost:1"


def test_its_own_variable_wins(declare, monkeypatch: pytest.MonkeyPatch):
    project = declare("notifications: {variable: TEAM_CHANNEL}\n")
    monkeypatch.setenv("TEAM_CHANNEL", "json://localhost:1")
    monkeypatch.setenv(NOTIFY_VARIABLE, "json://localhost:2")
    name_notifications(local_environment(project))
    assert os.environ[NOTIFY_VARIABLE] == "json://localhost:2"


def test_its_parameters_count_below_those_of_the_command(toy: Toy):
    folder = toy.root / "manifests" / "environments"
    folder.mkdir(parents=True)
    (folder / "local.yaml").write_text("backend: local\nparameters: {seed: 7}\n")
    assert toy.run().returncode == 0
    assert toy.latest()["arguments"]["seed"] == 7
    assert toy.run("--set", "seed=8").returncode == 0
    assert toy.latest()["arguments"]["seed"] == 8
