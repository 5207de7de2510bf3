import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.components.serving_targets.local_state import State, StateFile
from penstock.components.serving_targets.target import Conflict, check_name, check_weights
from penstock.components.step_io.errors import StepError


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    found = StateFile(tmp_path / "taxi")
    found.create("taxi", "127.0.0.1", 8080)
    return found


def give(weights: dict[str, int]) -> object:
    def mutate(state: State) -> None:
        state["weights"] = weights

    return mutate


def test_a_change_counts_the_revision_and_is_told_in_the_history(file: StateFile) -> None:
    file.change("shift", give({"3": 100}), "ada", "first")
    after, changed = file.change("shift", give({"4": 100}), "bob", "better")
    assert changed
    assert after["revision"] == 2
    last = file.history()[-1]
    assert (last.revision, last.action, last.by, last.why) == (2, "shift", "bob", "better")
    assert (last.before["weights"], last.after["weights"]) == ({"3": 100}, {"4": 100})


def test_a_change_to_the_same_leaves_revision_and_history(file: StateFile) -> None:
    file.change("shift", give({"3": 100}), "", "")
    after, changed = file.change("shift", give({"3": 100}), "", "")
    assert not changed
    assert after["revision"] == 1
    assert len(file.history()) == 1


def test_a_change_of_another_revision_is_refused(file: StateFile) -> None:
    file.change("shift", give({"3": 100}), "ada", "")
    with pytest.raises(Conflict, match=r"revision 1, expected 0; last: shift by ada at "):
        file.change("shift", give({"4": 100}), "", "", expected=0)
    assert file.read()["weights"] == {"3": 100}


def test_a_refused_change_leaves_the_file_as_it_was(file: StateFile) -> None:
    before = file.path.read_bytes()

    def refuse(state: State) -> None:
        state["weights"] = {"9": 100}
        raise StepError("no")

    with pytest.raises(StepError, match="no"):
        file.change("shift", refuse, "", "")
    assert file.path.read_bytes() == before


def test_a_line_that_a_killed_process_owed_is_written_by_the_next_change(file: StateFile) -> None:
    file.change("shift", give({"3": 100}), "", "one")
    file.change("shift", give({"4": 100}), "", "two")
    path = file.folder / "history.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:17])  # killed while it wrote
    assert [change.why for change in file.history()] == ["one", "two"]
    file.change("shift", give({"5": 100}), "", "three")
    assert [json.loads(line)["why"] for line in path.read_bytes().splitlines()] == ["one", "two", "three"]


def test_changes_of_many_processes_are_all_counted(file: StateFile) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from penstock.components.serving_targets.local_state import StateFile\n"
        "for n in range(20):\n"
        f"    StateFile(Path({str(file.folder)!r})).change('shift', lambda s: s['weights'].update(\n"
        "        {sys.argv[1]: s['weights'].get(sys.argv[1], 0) + 1}), '', '')\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert file.read()["weights"] == {"a": 20, "b": 20, "c": 20}
    assert [change.revision for change in file.history()] == list(range(1, 61))


def test_a_damaged_state_is_told_with_what_to_do(file: StateFile) -> None:
    file.path.write_text("{")
    with pytest.raises(
        StepError, match=r"state.json cannot be read .*: remove the folder .*, then serve anew"
    ):
        file.read()
    file.path.write_text('{"format": 7}')
    with pytest.raises(StepError, match="has the format 7, this version of Penstock writes 1"):
        file.read()


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"3": 90}, "the weights 3: 90 % add up to 90: they must add up to 100"),
        ({}, "the weights none add up to 0: they must add up to 100"),
        ({"3": 101, "4": -1}, "the weight of version '3' is 101: give a whole number from 0 to 100"),
        ({"3": 99.5, "4": 0.5}, "the weight of version '3' is 99.5: give a whole number from 0 to 100"),
        ({"3": 90, "9": 10}, "taxi has no version '9' (deployed: 3, 4): deploy it first"),
    ],
)
def test_wrong_weights_are_refused(weights: dict[str, int], sentence: str) -> None:
    with pytest.raises(StepError) as raised:
        check_weights(weights, {"3": {}, "4": {}}, "taxi")
    assert str(raised.value) == sentence


def test_weights_of_zero_are_left_out() -> None:
    assert check_weights({"3": 100, "9": 0}, {"3": {}}, "taxi") == {"3": 100}


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-a", "é", "x" * 64])
def test_names_that_cannot_stand_in_headers_and_paths_are_refused(name: str) -> None:
    with pytest.raises(StepError, match="cannot be served"):
        check_name("the version", name)
