"""Judges small data against a schema written in a few words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.components.validate_data.validation import Judgement, Modes, judge
from tests.components.compute_statistics.tables import write_dataset, write_statistics

ANY_ROWS = Modes(min_rows=0)


def write_schema(folder: Path, *features: str, rest: str = "") -> Path:
    """Write a schema artifact; each feature is what stands between its braces."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.pbtxt").write_text("".join(f"feature {{ {feature} }}\n" for feature in features) + rest)
    return folder


def judge_columns(
    folder: Path,
    columns: Mapping[str, Any],
    *features: str,
    modes: Modes = ANY_ROWS,
    before: Mapping[str, Any] | None = None,
    thresholds: Mapping[str, Any] = {},
    rest: str = "",
) -> Judgement:
    """Return the judgement of columns; `before` are the columns of a baseline."""
    dataset = write_dataset(folder / "data", columns, shards=2)
    statistics = write_statistics(folder / "statistics", dataset)
    schema = write_schema(folder / "schema", *features, rest=rest)
    baseline = folder / "baseline"
    if before is not None:
        write_statistics(baseline, write_dataset(folder / "before", before))
    name = "" if before is None else "the baseline"
    return judge(dataset, statistics, schema, baseline, name, modes, thresholds)
