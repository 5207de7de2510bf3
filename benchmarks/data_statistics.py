"""Data statistics: rows per second and peak memory at 100 k, 1 M and 10 M rows of 18 columns.

    make bench ARGS=data_statistics                            all sizes
    python benchmarks/data_statistics.py 100000 1000000             some

With one process and with two, each in a fresh interpreter; beside it TFDV's own
generate_statistics_from_dataframe, up to 1 M rows, on a frame that is in memory already. The rows are
drawn from the taxi sample, with noise on fares, miles and tips so that they are not all the same few
values. Time is that of the computation; imports are told apart. Runs with the tfdv stack's Python.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "apps" / "taxi" / "data" / "trips.csv.gz"
RESULTS = HERE / "results" / "data_statistics.json"
SIZES = (100_000, 1_000_000, 10_000_000)
MOST_ROWS_OF_TFDV = 1_000_000
REPEATS = {100_000: 3, 1_000_000: 3}  # the fastest counts
ROWS_PER_SHARD = 250_000
NOISY = ("fare", "trip_miles", "tips")


def make_data(folder: Path, rows: int) -> None:
    """Write shards with rows drawn from the sample, the same on every machine."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    convert = pa.csv.ConvertOptions(strings_can_be_null=True)
    sample = pa.csv.read_csv(SAMPLE, convert_options=convert)
    random = np.random.default_rng(0)
    folder.mkdir()
    for shard, start in enumerate(range(0, rows, ROWS_PER_SHARD)):
        count = min(ROWS_PER_SHARD, rows - start)
        part = sample.take(pa.array(random.integers(0, sample.num_rows, count)))
        for name in NOISY:
            place = part.schema.get_field_index(name)
            values = part.column(name).to_numpy() * random.uniform(0.9, 1.1, count)
            part = part.set_column(place, name, pa.array(np.round(values, 2)))
        path = folder / f"part-{shard:05d}.parquet"
        pq.write_table(part, path, row_group_size=65_536, compression="zstd", version="2.6")


def measure(folder: Path, way: str) -> dict[str, float]:
    """Compute statistics in this process; `way` is a number of processes, or tfdv."""
    began = time.perf_counter()
    if way == "tfdv":
        import pyarrow.parquet as pq
        import tensorflow_data_validation as tfdv

        imported = time.perf_counter()
        frame = pq.read_table(folder).to_pandas()
        ready = time.perf_counter()
        found = tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)
    else:
        from penstock.components.compute_statistics.computation import compute

        imported = ready = time.perf_counter()
        found = compute(folder, processes=int(way))
    ended = time.perf_counter()
    workers = int(way) if way not in ("1", "tfdv") else 0
    own, child = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "rows": int(found.datasets[0].num_examples),
        "seconds": round(ended - ready, 3),
        "import_seconds": round(imported - began, 3),
        "peak_mib": round(own + workers * child),  # an upper bound: forked pages are counted more than once
    }


def run_case(folder: Path, rows: int, way: str) -> dict[str, float | str]:
    """Measure in a fresh interpreter."""
    command = [sys.executable, "-W", "ignore", __file__, "--case", str(folder), way]
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    found: dict[str, float | str] = json.loads(done.stdout.decode().splitlines()[-1])
    if found["rows"] != rows:
        raise RuntimeError(f"{found['rows']} rows counted, {rows} written")
    return {
        "way": "TFDV, frame in memory" if way == "tfdv" else f"Penstock, {way} process{'es' * (way != '1')}",
        **found,
        "rows_per_second": round(rows / float(found["seconds"])),
    }


def main(sizes: list[int]) -> None:
    """Run all cases, print the table as it grows, and write the results."""
    cases = []
    print(f"{'rows':>12} {'way':24} {'seconds':>9} {'rows/s':>12} {'peak MiB':>9} {'import s':>9}")
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
            data = Path(name) / "data"
            make_data(data, rows)
            for way in ("1", "2", *(["tfdv"] if rows <= MOST_ROWS_OF_TFDV else [])):
                tries = [run_case(data, rows, way) for _ in range(REPEATS.get(rows, 1))]
                case = min(tries, key=lambda found: float(found["seconds"]))
                cases.append(case)
                print(
                    f"{rows:12,} {case['way']:24} {case['seconds']:9.2f} {case['rows_per_second']:12,} "
                    f"{case['peak_mib']:9,} {case['import_seconds']:9.2f}",
                    flush=True,
                )
    result = {"columns": 18, "cores": os.cpu_count(), "python": platform.python_version(), "cases": cases}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {RESULTS.relative_to(HERE.parent)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3])))
    else:
        main([int(rows) for rows in sys.argv[1:]] or list(SIZES))
