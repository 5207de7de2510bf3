"""Cleans rows, makes the label and writes the three splits."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.duckdb_session.column_types import dataset_type, to_dataset_sql
from penstock.components.duckdb_session.session import (
    connect,
    first_row,
    identifier,
    literal,
    lock,
    query_errors,
    stream,
)
from penstock.components.prepare_data import splits
from penstock.components.prepare_data.findings import Counts, Findings, judge
from penstock.components.prepare_data.labels import LabelSpec, as_class, as_number, decide
from penstock.components.prepare_data.leaks import find_leaks
from penstock.components.prepare_data.relations import (
    Cleaned,
    add_label,
    blame,
    clean,
    count_rules,
    nearest,
)
from penstock.components.prepare_data.settings import SPLITS, Label, Rule, Split
from penstock.components.source_files.shards import ARROW_TYPES, BLOCK_ROWS, ShardWriter, blocks, shard_paths
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

ROWS_PER_SHARD = 250_000
SPLIT = "__penstock_split"
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
BINS = 30


@dataclass
class Prepared:
    """What was done, for the outputs and the report."""

    spec: LabelSpec
    counts: Counts
    findings: Findings
    rules: Sequence[Rule]
    split: Split
    columns: int
    leaks: list[str] = field(default_factory=list)
    quantiles: dict[str, list[float]] = field(default_factory=dict)  # of a numeric label, by split
    histogram: tuple[list[float], dict[str, list[int]]] | None = None


def prepare(
    dataset: Path,
    label: Label,
    rules: Sequence[Rule],
    split: Split,
    event_time: str,
    weight: str,
    folders: Mapping[str, Path],
) -> Prepared:
    """Prepare the Dataset in the folder `dataset` and write the splits into `folders`.

    The rows of a split keep the order of the dataset; the same input gives the same bytes.

    Raises:
        StepError: A setting does not fit the data, its SQL is wrong, or a weight is not positive.
    """
    with (
        tempfile.TemporaryDirectory(prefix="penstock-") as scratch,
        closing(connect(Path(scratch))) as connection,
        query_errors("the prepared data"),
    ):
        connection.execute(
            f"CREATE TEMP VIEW data AS SELECT * FROM read_parquet([{_paths(dataset)}], hive_partitioning = false)"
        )
        lock(connection, [str(path) for path in shard_paths(dataset)])
        return _prepare(connection, label, rules, split, event_time, weight, folders, Path(scratch))


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    label: Label,
    rules: Sequence[Rule],
    split: Split,
    event_time: str,
    weight: str,
    folders: Mapping[str, Path],
    scratch: Path,
) -> Prepared:
    cleaned = clean(connection, rules)
    splits.check_columns(split, event_time, cleaned.types)
    _check_weight_type(weight, cleaned.types)
    label_type = add_label(connection, label, cleaned)
    read, by_rule = count_rules(connection, cleaned, rules)
    counts = Counts(read, by_rule)
    try:
        spec = decide(connection, label, label_type)
        target = as_number(label_type) if spec.task == "regression" else as_class(label_type)
        usable = f"({target}) IS NOT NULL"
        if split.by == "time":
            usable += f" AND {splits.has_time(event_time, cleaned.types)}"
        _count_missing(connection, counts, target, usable)
        _check_weight(connection, weight, usable)
        if split.by == "time":
            side = splits.by_time(connection, split, event_time, usable)
        else:
            side = splits.by_entity(split, cleaned.types)
        _write(connection, cleaned, label, spec, target, usable, side, folders, counts)
    except duckdb.Error as error:
        raise StepError(blame(connection, cleaned, rules, error)) from error
    prepared = Prepared(spec, counts, Findings((), ()), rules, split, len(cleaned.types))
    if spec.task == "regression":
        _describe_numbers(prepared, folders, scratch)
    prepared.findings = judge(counts, label, spec, rules)
    if prepared.findings.verdict != "block":
        left_out = [label.name, label.column, event_time, weight]
        prepared.leaks = find_leaks(connection, target, usable, spec, cleaned.types, left_out)
    log.info(
        "read %d rows, kept %d: %s; label %s is %s with %d classes",
        counts.read,
        counts.kept,
        ", ".join(f"{name} {rows}" for name, rows in counts.split_rows.items()),
        label.name,
        spec.task,
        len(spec.classes),
    )
    return prepared


def _count_missing(connection: duckdb.DuckDBPyConnection, counts: Counts, target: str, usable: str) -> None:
    row = first_row(
        connection,
        f"SELECT count(*) FILTER (({target}) IS NULL), "
        f"count(*) FILTER (({target}) IS NOT NULL AND NOT ({usable})) FROM labelled",
    )
    counts.label_missing, counts.time_missing = row


def _check_weight_type(weight: str, types: Mapping[str, str]) -> None:
    if weight and weight not in types:
        raise StepError(f"weight {weight!r} is no column of the data{nearest(weight, list(types))}")
    if weight and dataset_type(types[weight]) not in ("int64", "double"):
        raise StepError(f"weight {weight!r} is not a number: name a column of positive numbers")


def _check_weight(connection: duckdb.DuckDBPyConnection, weight: str, usable: str) -> None:
    if not weight:
        return
    value = f"CAST({identifier(weight)} AS DOUBLE)"
    row = first_row(
        connection,
        f"SELECT count(*) FILTER ({value} IS NULL), count(*) FILTER (NOT (isfinite({value}) AND {value} > 0)) "
        f"FROM labelled WHERE {usable}",
    )
    missing, wrong = row
    if missing or wrong:
        raise StepError(
            f"weight {weight!r} is missing in {missing} rows and not positive in {wrong}: "
            "drop or set them with a cleaning rule"
        )


def _write(
    connection: duckdb.DuckDBPyConnection,
    cleaned: Cleaned,
    label: Label,
    spec: LabelSpec,
    target: str,
    usable: str,
    side: str,
    folders: Mapping[str, Path],
    counts: Counts,
) -> None:
    """Stream the rows once, each to the shards of its split, and count classes on the way."""
    label_type = "double" if spec.task == "regression" else "string"
    kept = {n: t for n, t in cleaned.types.items() if n.lower() != label.name.lower()}
    values = [f"{to_dataset_sql(name, type_)} AS {identifier(name)}" for name, type_ in kept.items()]
    fields = [(name, ARROW_TYPES[dataset_type(type_)]) for name, type_ in kept.items()]
    schema = pa.schema([*fields, (label.name, ARROW_TYPES[label_type])])
    statement = (
        f"SELECT {', '.join([*values, f'{target} AS {identifier(label.name)}', f'{side} AS {SPLIT}'])} "
        f"FROM labelled WHERE {usable}"
    )
    streamed = pa.schema([*schema, (SPLIT, pa.string())])
    writers = {name: ShardWriter(folders[name], schema, ROWS_PER_SHARD) for name in SPLITS}
    for block in blocks(stream(connection, statement, BLOCK_ROWS), streamed):
        sides = block.column(SPLIT)
        for name, writer in writers.items():
            rows = block.filter(pc.equal(sides, name)).drop_columns([SPLIT])
            writer.write(rows)
            if spec.task != "regression":
                _add(counts.split_classes[name], rows.column(label.name))
    for name, writer in writers.items():
        writer.close()
        counts.split_rows[name] = writer.rows


def _add(classes: dict[str, int], column: pa.ChunkedArray) -> None:
    for entry in pc.value_counts(column).to_pylist():
        classes[entry["values"]] = classes.get(entry["values"], 0) + entry["counts"]


def _describe_numbers(prepared: Prepared, folders: Mapping[str, Path], scratch: Path) -> None:
    """Add quantiles and a histogram of a numeric label by split; all of it independent of the rows' order."""
    label = identifier(prepared.spec.name)
    parts = [
        f"SELECT {label} AS y, {literal(name)} AS side FROM read_parquet([{_paths(folders[name])}], hive_partitioning = false)"
        for name in SPLITS
    ]
    source = f"({' UNION ALL '.join(parts)})"
    with closing(connect(scratch)) as connection:
        rows = connection.execute(
            f"SELECT side, quantile_disc(y, {list(QUANTILES)}) FROM {source} GROUP BY side"
        ).fetchall()
        prepared.quantiles = {str(name): list(values) for name, values in rows}
        if not rows:
            return
        low = min(values[0] for values in prepared.quantiles.values())
        high = max(values[-1] for values in prepared.quantiles.values())
        if low == high:
            prepared.counts.distinct_values = 1
            return
        width = (high - low) / BINS
        counted = connection.execute(
            f"SELECT side, least(CAST(floor((y - {low!r}) / {width!r}) AS BIGINT), {BINS - 1}) AS bin, count(*) "
            f"FROM {source} GROUP BY side, bin"
        ).fetchall()
    bins = {name: [0] * BINS for name in SPLITS}
    for name, bin_, count in counted:
        bins[name][bin_] = count
    prepared.histogram = ([low + i * width for i in range(BINS + 1)], bins)


def _paths(folder: Path) -> str:
    return ", ".join(literal(str(path)) for path in shard_paths(folder))
