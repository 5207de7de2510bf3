"""Small data for the tests of training: real Parquet shards, a schema, code folders."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.tabular_model.job import Job

BINARY = {"name": "y", "task": "binary", "classes": ["no", "yes"], "positive": "yes"}
MULTICLASS = {"name": "y", "task": "multiclass", "classes": ["a", "b", "c"], "positive": ""}
REGRESSION = {"name": "y", "task": "regression", "classes": [], "positive": ""}
SPECS = {"binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION}

TYPES = {
    "FLOAT": pa.float64(),
    "INT": pa.int64(),
    "BYTES": pa.string(),
    "CATEGORY": pa.int64(),
    "BOOL": pa.bool_(),
}
SMALL = {"hidden_units": [8], "epochs": 3, "batch_size": 32, "learning_rate": 0.01}


def write_schema(folder: Path, types: Mapping[str, str]) -> Path:
    """Write schema.pbtxt with columns of the types FLOAT, INT, BYTES, CATEGORY (a categorical INT) or BOOL."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, kind in types.items():
        domain = {"CATEGORY": "int_domain { is_categorical: true }", "BOOL": "bool_domain {}"}.get(kind, "")
        stored = "INT" if kind in ("CATEGORY", "BOOL") else kind
        lines.append(f"feature {{ name: {json.dumps(name)} type: {stored} {domain} }}")
    (folder / "schema.pbtxt").write_text("\n".join(lines))
    return folder


def write_shards(folder: Path, columns: Mapping[str, Any], shards: int = 1) -> Path:
    """Write columns (sequences or Arrow arrays) as Parquet shards."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(columns))
    size = -(-table.num_rows // shards) or 1
    for i in range(shards):
        pq.write_table(table.slice(i * size, size), folder / f"part-{i:05d}.parquet")
    return folder


def write_code(folder: Path, **files: str) -> Path:
    """Write a code folder: write_code(path, features="...", model="...")."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


MIXED_TYPES = {"amount": "FLOAT", "count": "INT", "area": "CATEGORY", "member": "BOOL", "color": "BYTES"}


def mixed_rows(rows: int, seed: int, task: str = "binary") -> dict[str, Any]:
    """Return columns of all kinds, some values missing, and a label that depends on them."""
    rng = np.random.default_rng(seed)
    amount, count = rng.lognormal(2, 1, rows), rng.integers(0, 9, rows)
    area, member = rng.integers(1, 5, rows), rng.random(rows) < 0.5
    color = np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)]
    score = np.log(amount) - 2 + (color == "red") - (area == 3) + 0.3 * member + rng.normal(0, 0.3, rows)
    labels: dict[str, Sequence[Any]] = {
        "binary": np.where(score > 0, "yes", "no").tolist(),
        "multiclass": np.array(["a", "b", "c"])[np.digitize(score, [-0.7, 0.7])].tolist(),
        "regression": (1000 + 50 * score).tolist(),
    }
    holes = rng.random((rows, 3)) < 0.1
    return {
        "amount": pa.array(amount, mask=holes[:, 0]),
        "count": pa.array(count),
        "area": pa.array(area, mask=holes[:, 1]),
        "member": pa.array(member),
        "color": pa.array(color.tolist(), mask=holes[:, 2]),
        "y": labels[task],
    }


def make_job(
    folder: Path,
    train: Mapping[str, Any],
    validation: Mapping[str, Any],
    types: Mapping[str, str],
    spec: Mapping[str, Any] = BINARY,
    settings: Mapping[str, Any] = SMALL,
    seed: int = 0,
    weight: str = "",
    shards: int = 1,
    exclude: Sequence[str] = (),
    **code: str,
) -> Job:
    """Write everything under `folder` and read it as a job."""
    return Job.read(
        write_shards(folder / "train", train, shards),
        write_shards(folder / "validation", validation),
        write_schema(folder / "schema", types),
        write_code(folder / "code", **code),
        spec,
        {"exclude": list(exclude)},
        weight,
        seed,
        {"model_settings": settings},
    )


def mixed_job(folder: Path, task: str = "binary", rows: int = 200, **more: Any) -> Job:
    """Return a job on `mixed_rows`."""
    train, validation = mixed_rows(rows, 1, task), mixed_rows(rows // 2, 2, task)
    return make_job(folder, train, validation, MIXED_TYPES, SPECS[task], **more)
