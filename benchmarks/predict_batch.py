"""Batch prediction: rows per second and peak memory of the step predict_batch, and what a kill costs.

A model of 12 numbers and 6 texts, trained by the library's own code, on 200,000 and 2 million rows in shards of
250,000, each in a process of its own; beside it the model alone, called on columns that are in memory. Then a run
of 2 million rows is killed when half of its shards are finished, and started again. Runs with the tensorflow stack's
Python: `make bench ARGS=predict_batch`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS, TEXTS = 12, 6
ROWS_PER_SHARD = 250_000
CASES = (200_000, 2_000_000)
STEP = "penstock.components.predict_batch.step"


def make_table(rows: int, seed: int) -> pa.Table:
    """Return seeded rows: an id, numbers of which some are missing, texts of 10 to 60 values, a label."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {"id": np.arange(rows)}
    score = np.zeros(rows)
    for i in range(NUMBERS):
        values = random.normal(size=rows)
        columns[f"number {i}"] = pa.array(values, mask=random.random(rows) < 0.05)
        score += values * (i % 3 - 1) / 3
    for i in range(TEXTS):
        codes = random.integers(0, 10 * (i + 1), rows, dtype=np.int32)
        words = pa.array([f"value {code}" for code in range(10 * (i + 1))])
        columns[f"text {i}"] = pa.DictionaryArray.from_arrays(codes, words).cast(pa.string())
        score += (codes % 5 == 0) * 0.5
    columns["y"] = np.where(score + random.normal(size=rows) > 0.5, "yes", "no")
    return pa.table(columns)


def write_dataset(folder: Path, rows: int) -> Path:
    """Write a dataset without the label, shard by shard."""
    folder.mkdir()
    for number, start in enumerate(range(0, rows, ROWS_PER_SHARD)):
        table = make_table(min(ROWS_PER_SHARD, rows - start), number).drop_columns(["y"])
        pq.write_table(table, folder / f"part-{number:05d}.parquet", compression="zstd")
    return folder


def train(folder: Path) -> Path:
    """Train a model on 20,000 rows and return its folder."""
    from penstock.components.tabular_model.quiet import import_tensorflow

    import_tensorflow()
    from penstock.components.tabular_model.job import Job
    from penstock.components.train_model.result import train_and_write

    for name, seed in (("train", 1), ("validation", 2)):
        (folder / name).mkdir(parents=True)
        pq.write_table(make_table(20_000, seed).drop_columns(["id"]), folder / name / "part-00000.parquet")
    names = [(f"number {i}", "FLOAT") for i in range(NUMBERS)] + [
        (f"text {i}", "BYTES") for i in range(TEXTS)
    ]
    (folder / "schema.pbtxt").write_text("\n".join(f'feature {{ name: "{n}" type: {t} }}' for n, t in names))
    label = {"name": "y", "task": "binary", "classes": ["no", "yes"], "positive": "yes"}
    settings = {"model_settings": {"epochs": 2, "hidden_units": [64, 32]}}
    job = Job.read(
        folder / "train", folder / "validation", folder, folder / "code", label, {}, "", 0, settings
    )
    train_and_write(job, "", folder / "model", folder / "metrics", folder / "report")
    return folder / "model"


def start(folder: Path, model: Path, dataset: Path, resume: str = "") -> "subprocess.Popen[bytes]":
    """Start the step as a process."""
    folder.mkdir(exist_ok=True)
    artifacts = {
        name: {"artifacts": [{"uri": str(path)}]} for name, path in (("model", model), ("dataset", dataset))
    }
    outputs = {
        name: {"artifacts": [{"name": name, "uri": str(folder / name)}]}
        for name in ("predictions", "metrics", "report")
    }
    given = {
        "inputs": {"parameterValues": {"resume_uri": resume}, "artifacts": artifacts},
        "outputs": {"artifacts": outputs, "outputFile": str(folder / "out.json")},
    }
    command = [sys.executable, "-m", STEP, "--executor_input", json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(folder: Path, model: Path, dataset: Path, rows: int, resume: str = "") -> dict[str, float]:
    """Run the step to its end and return its time and memory."""
    began = time.perf_counter()
    process = start(folder, model, dataset, resume)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, process.returncode
    assert sum(pq.read_metadata(p).num_rows for p in (folder / "predictions").glob("*.parquet")) == rows
    cpu = used.ru_utime + used.ru_stime
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "rows_per_second": round(rows / seconds),
        "rows_per_cpu_second": round(rows / cpu),
        "peak_mib": round(used.ru_maxrss / 1024),
    }


def model_alone(model: Path, dataset: Path) -> dict[str, float]:
    """Return the rate of the model itself on one shard whose columns are in memory."""
    from penstock.components.predict_batch.columns import Reader
    from penstock.components.serving_model.folder import ModelFolder
    from penstock.components.serving_model.predictor import Predictor

    folder = ModelFolder.read(model)
    table = pq.read_table(dataset / "part-00000.parquet")
    reader = Reader(folder.inputs, dict(zip(table.schema.names, table.schema.types, strict=True)))
    batches = [reader.read(batch, {})[0] for batch in table.to_batches(16_384)]
    predictor = Predictor(folder)
    predictor.predict(batches[0])
    began, began_cpu = time.perf_counter(), time.process_time()
    for columns in batches:
        predictor.predict(columns)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {
        "rows_per_second": round(table.num_rows / seconds),
        "rows_per_cpu_second": round(table.num_rows / cpu),
    }


def kill_at_half(folder: Path, model: Path, dataset: Path, rows: int) -> dict[str, float]:
    """Kill a run when half of its shards are finished, run it again, and return the second one's figures."""
    resume = folder.parent / "resume"
    shards = len(list(dataset.glob("*.parquet")))
    process = start(folder, model, dataset, str(resume))
    while len(list(resume.glob("*/*.json"))) < shards // 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(list(resume.glob("*/*.json")))
    return {
        "shards": shards,
        "finished_before": finished,
        **measure(folder, model, dataset, rows, str(resume)),
    }


def main() -> None:
    """Measure all, print a table, write results/predict_batch.json."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        base = Path(name)
        model = train(base / "training")
        datasets = {rows: write_dataset(base / f"data-{rows}", rows) for rows in CASES}
        cases = [measure(base / f"out-{rows}", model, datasets[rows], rows) for rows in CASES]
        alone = model_alone(model, datasets[CASES[0]])
        again = kill_at_half(base / "killed", model, datasets[CASES[-1]], CASES[-1])
    print(f"{'rows':>12} {'wall s':>8} {'CPU s':>8} {'rows/s':>10} {'peak MiB':>9}")
    for case in [*cases, again]:
        print(
            f"{case['rows']:>12,} {case['seconds']:>8} {case['cpu_seconds']:>8} {case['rows_per_second']:>10,} "
            f"{case['peak_mib']:>9,}"
            + (
                f"  after a kill at {again['finished_before']} of {again['shards']} shards"
                if case is again
                else ""
            )
        )
    print(f"the model alone, columns in memory: {alone['rows_per_second']:,} rows/s")
    content = {
        "columns": {"numbers": NUMBERS, "texts": TEXTS},
        "cores": len(os.sched_getaffinity(0)),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "cases": cases,
        "model_alone": alone,
        "after_a_kill": again,
    }
    target = Path(__file__).parent / "results" / "predict_batch.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
