from pathlib import Path

import pytest

from penstock.components.data_schema.checks import load_schema
from penstock.components.data_schema.main import main
from tests.components.compute_statistics.tables import write_dataset, write_statistics


def test_drafts_a_schema_that_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = write_dataset(tmp_path / "data", {"at": [5, 6, 7], "city": ["Rom", "Ulm", "Rom"]})
    statistics = write_statistics(tmp_path / "statistics", dataset)
    output = tmp_path / "schema.pbtxt"
    arguments = ["infer", "--statistics", str(statistics), "--output", str(output), "--event-time", "at"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "2 columns of 3 rows, 2 comments to review\n"
    assert [feature.name for feature in load_schema(output).feature] == ["at", "city"]


def test_says_in_a_sentence_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["infer", "--statistics", str(tmp_path), "--output", str(tmp_path / "schema.pbtxt")]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"the statistics artifact {tmp_path} holds no statistics.pb\n"
    assert not (tmp_path / "schema.pbtxt").exists()
