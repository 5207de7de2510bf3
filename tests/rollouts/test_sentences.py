"""What the commands say when there is nothing to roll out."""

import pytest

from penstock.components.serving_targets.local_target import LocalTarget
from tests.rollouts.conftest import Toy


@pytest.mark.parametrize("words", [["rollout", "start"], ["rollout", "advance"]])
def test_an_endpoint_that_does_not_run_is_named_before_anything_is_done(toy: Toy, words: list[str]) -> None:
    done = toy.penstock(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "penstock: the endpoint toy does not run on this machine: "
        f"`penstock serve --app {toy.app}` starts it\n"
    )
    assert not (toy.home / "registry.db").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rollout", "status"], "there is no endpoint 'toy': `penstock serve` makes one"),
        (["promote", "--version", "4"], "the model 'toy' has no version '4' (registered: none)"),
    ],
)
def test_without_an_endpoint_or_a_version(toy: Toy, words: list[str], sentence: str) -> None:
    done = toy.penstock(*words)
    assert (done.returncode, done.stderr) == (2, f"penstock: {sentence}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rollout", "abort"], "there is no rollout of 'toy' to abort: no version is its challenger"),
        (["rollback"], "the model 'toy' has no previous version to go back to"),
    ],
)
def test_without_a_challenger_or_a_previous_version(toy: Toy, words: list[str], sentence: str) -> None:
    LocalTarget(toy.home / "endpoints" / "toy").create(port=toy.port)
    done = toy.penstock(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_environment_without_serving_is_named(toy: Toy) -> None:
    done = toy.penstock("rollback", "--env", "preprod")
    assert done.returncode == 2
    assert "the environment preprod says nothing of serving" in done.stderr
