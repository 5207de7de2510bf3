"""What a step's container is given: limits in the engine's words, the places it sees, the variables it gets."""

import os
from pathlib import Path

import pytest

from penstock.errors import UserError
from penstock.images.settings import Resources
from penstock.local.docker_container import (
    Mount,
    create_arguments,
    limits,
    memory_bytes,
    mounts,
    variables,
)
from penstock.local.docker_engine import Engine, last_words

ABLE = Engine(cores=2, limits_memory=True, limits_swap=True, limits_cpu=True, is_rootless=False)
UNABLE = Engine(cores=2, limits_memory=False, limits_swap=False, limits_cpu=False, is_rootless=True)
ALL = Resources(cpu="250m", cpu_limit="4", memory="1Gi", memory_limit="2G")


@pytest.mark.parametrize(
    ("quantity", "expected"), [("512Mi", 536_870_912), ("2G", 2_000_000_000), ("1.5Gi", 1_610_612_736)]
)
def test_memory_is_counted_in_bytes(quantity: str, expected: int) -> None:
    assert memory_bytes(quantity) == expected


def test_limits_are_given_to_an_engine_that_can() -> None:
    assert limits(ALL, ABLE) == [
        "--memory=2000000000",
        "--memory-swap=2000000000",
        "--memory-reservation=1073741824",
        "--cpu-shares=256",
        "--cpus=2",  # of 4: the engine refuses more than it has
    ]


def test_limits_are_left_out_where_the_engine_cannot() -> None:
    assert limits(ALL, UNABLE) == ["--cpu-shares=256"]
    assert limits(Resources(), ABLE) == []


def test_reservation_above_the_limit_is_left_out() -> None:
    given = limits(Resources(memory="4Gi", memory_limit="2Gi"), ABLE)
    assert given == ["--memory=2147483648", "--memory-swap=2147483648"]


def test_paths_in_parameters_are_mounted_and_only_places_of_results_can_be_written(tmp_path: Path) -> None:
    state, data, registry = (tmp_path / name for name in ("state", "data", "registry"))
    for folder in (state, data, registry):
        folder.mkdir()
    (data / "trips.csv").touch()
    (state / "inside").touch()
    arguments = {
        "source": {"path": f"{data}/trips.csv", "more": [f"file://{data}/trips.csv"]},
        "registry_uri": f"sqlite:///{registry}/new.db",
        "checkpoint_uri": "gs://bucket/checkpoints",
        "query": "/ not a path",
        "already": f"{state}/inside",
        "seed": 7,
    }

    found = mounts(state, arguments, {})

    assert found == sorted(
        [Mount(state, True), Mount(data / "trips.csv"), Mount(registry, True)], key=lambda m: m.path.parts
    )


def test_glob_mounts_the_folder_above_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "2016").mkdir(parents=True)
    found = mounts(tmp_path / "state", {"source": f"{tmp_path}/data/*/part-?.csv"}, {})
    assert Mount(tmp_path / "data") in found


def test_files_that_variables_name_are_mounted(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.touch()
    found = mounts(tmp_path / "state", {}, {"GOOGLE_APPLICATION_CREDENTIALS": str(key), "OTHER": "/usr/bin"})
    assert [mount.path for mount in found] == [key, tmp_path / "state"]


def test_folder_that_containers_have_themselves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="/tmp cannot be shown to containers, which have their own: move"):
        mounts(tmp_path, {"source": "/tmp"}, {})


def test_path_with_a_comma_is_quoted() -> None:
    assert str(Mount(Path("/data/a,b"))) == 'type=bind,"source=/data/a,b","target=/data/a,b",readonly'


def test_variables_of_this_machine_are_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "ca.pem"
    here.touch()
    for name, value in {
        "PATH": "/here/bin",
        "LC_ALL": "xx_XX",
        "PENSTOCK_STACK_PYTHON_CORE": "/here/python",
        "AWS_REGION": "eu-west-1",
        "SSL_CERT_FILE": "/no/such/file",
        "AWS_CA_BUNDLE": str(here),
    }.items():
        monkeypatch.setenv(name, value)
    found = variables()
    assert not {"PATH", "LC_ALL", "PENSTOCK_STACK_PYTHON_CORE", "SSL_CERT_FILE"} & found.keys()
    assert found["AWS_REGION"] == "eu-west-1"
    assert found["AWS_CA_BUNDLE"] == str(here)


@pytest.mark.parametrize("is_rootless", [True, False])
def test_container_is_hardened_and_holds_no_value_of_a_variable(is_rootless: bool) -> None:
    arguments = create_arguments(
        "penstock/gate:0123",
        ["python", "-m", "x"],
        name="n",
        labels={"penstock.run": "r"},
        limited=["--memory=1"],
        mounted=[Mount(Path("/data"))],
        env={"AWS_SECRET_ACCESS_KEY": "hush"},
        is_rootless=is_rootless,
    )
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=1"} <= {*arguments}
    assert "--env=AWS_SECRET_ACCESS_KEY" in arguments
    assert "hush" not in " ".join(arguments)
    assert ("--user=0:0" if is_rootless else f"--user={os.getuid()}:{os.getgid()}") in arguments
    assert arguments[-4:] == ["penstock/gate:0123", "python", "-m", "x"]


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("Error response from daemon: No such image: x.\nSee 'docker run --help'.\n", "No such image: x"),
        ("docker: Error response from daemon: denied.\n", "denied"),
        ("", ""),
    ],
)
def test_last_words_of_docker_come_without_its_preamble(stderr: str, words: str) -> None:
    assert last_words(stderr) == words
