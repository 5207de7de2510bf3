import os

import pytest

from penstock.components.step_io import cores as module
from penstock.components.step_io.cores import cores


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A container on a node of 64 cores; its cgroup's files are the test's."""
    for name in ("CPU_MAX", "QUOTA", "PERIOD"):
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 64)],
)
def test_the_limit_of_cgroup_v2_counts(container, text, expected):
    (container / "CPU_MAX").write_text(text + "\n")
    assert cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4), ("-1", 64)])
def test_the_limit_of_cgroup_v1_counts(container, quota, expected):
    (container / "QUOTA").write_text(quota + "\n")
    (container / "PERIOD").write_text("100000\n")
    assert cores() == expected


def test_without_a_limit_all_cores_of_the_process_count(container):
    assert cores() == 64
