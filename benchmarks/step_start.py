"""Seconds from the start of a step's process to the first line of its logic, and for its heavy imports.

Each step is started with an executor input that lacks its parameters: it gets as far as its first line
and its record tells when that was. What the logic imports later, when it needs it, is timed beside.
"""

import datetime
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from penstock.components.step_io.record import from_line
from penstock.local.envs import ensure_stacks
from penstock.project import find_project

REPEATS = 5
# What the logic of a stack's heaviest step imports, as it imports it.
HEAVY = {
    "core": "import pyarrow, duckdb",
    "tfdv": "from penstock.components.tfdv_library.light_import import tfdv_module;"
    "tfdv_module('statistics.generators.basic_stats_generator')",
    "tensorflow": "import tensorflow",
    "control": "import mlflow.tracking",
}


def seconds_to_first_line(python: Path, step: str, root: Path) -> float:
    """Start a step and return the seconds until the contract was about to call its logic."""
    before = time.time()
    done = subprocess.run(
        [python, "-m", f"penstock.components.{step}.step", "--executor_input", "{}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    record = from_line(done.stdout.strip().splitlines()[-1])
    if record is None:
        raise SystemExit(f"{step} left no record: {done.stderr[-500:]}")
    return datetime.datetime.fromisoformat(record["started"]).timestamp() - before


def seconds_to_import(python: Path, code: str, root: Path) -> float:
    """Return the seconds that a process takes for its imports, its own start included."""
    before = time.monotonic()
    subprocess.run([python, "-c", code], cwd=root, check=True, capture_output=True)
    return time.monotonic() - before


def main() -> None:
    """Measure all steps, print a table and write results/step_start.json."""
    project = find_project(Path(__file__).parent)
    steps = yaml.safe_load((project.images / "images.yaml").read_text())["steps"]
    pythons = ensure_stacks(project, sorted({step["stack"] for step in steps.values()}))
    table = Table("step", "stack", "first line (s)", "with heavy imports (s)")
    results = {}
    heavy = {
        stack: statistics.median(
            seconds_to_import(pythons[stack], code, project.root) for _ in range(REPEATS)
        )
        for stack, code in HEAVY.items()
    }
    for step, made_of in steps.items():
        stack = made_of["stack"]
        first = statistics.median(
            seconds_to_first_line(pythons[stack], step, project.root) for _ in range(REPEATS)
        )
        results[step] = {"first_line_s": round(first, 3), "heavy_imports_s": round(heavy[stack], 3)}
        table.add_row(step, stack, f"{first:.2f}", f"{heavy[stack]:.2f}")
    Console(file=sys.stdout).print(table)
    target = Path(__file__).parent / "results" / "step_start.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
