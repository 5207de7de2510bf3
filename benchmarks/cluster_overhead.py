"""What a KFP cluster adds to each step: chains of steps that do nothing, and a training run beside its own work.

    python benchmarks/cluster_overhead.py [ENVIRONMENT]

Needs a cluster (KFP_HOST, KUBECONFIG) and images.lock.json (`make images`). A chain of n steps that end at once
takes a + b·n seconds: b is the overhead per step, and a what a run costs whatever it does. The same steps as
processes on this machine are timed beside. Of the newest training run that succeeded, the seconds of the whole
run are held against the seconds that its steps' own logic took.
"""

import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from penstock.environments import load_environment
from penstock.images.lock import read_lock
from penstock.kfp_backend.client import connect
from penstock.project import find_project

CHAINS = (2, 6)  # steps
REPEATS = 2
PROJECT = find_project(Path(__file__).parent)


def chain(image: str, steps: int, path: Path) -> None:
    """Compile a pipeline of steps that do nothing, one after another."""
    from kfp import compiler, dsl

    def nothing(index: int) -> Any:
        @dsl.container_component
        def nothing():
            return dsl.ContainerSpec(image=image, command=["true", f"nothing-{index}"])

        return nothing

    @dsl.pipeline(name=f"overhead-{steps}")
    def overhead():
        before = None
        for index in range(steps):
            task = nothing(index)().set_caching_options(False)
            if before is not None:
                task.after(before)
            before = task

    compiler.Compiler().compile(overhead, str(path))


def seconds(run: Any) -> float:
    """Return how long the backend says a run took."""
    return float((run.finished_at - run.created_at).total_seconds())


def measure_chain(client: Any, package: Path) -> float:
    """Run a compiled pipeline to its end and return the seconds that it took."""
    run = client.create_run_from_pipeline_package(
        str(package), run_name=f"{package.stem}-{uuid.uuid4().hex[:8]}", enable_caching=False
    )
    ended = client.wait_for_run_completion(run.run_id, timeout=1800, sleep_duration=1)
    if ended.state != "SUCCEEDED":
        raise SystemExit(f"{package.stem} ended as {ended.state}: {run.run_id}")
    return seconds(ended)


def local_seconds(steps: int) -> float:
    """Return the seconds that as many processes that do nothing take on this machine."""
    begun = time.monotonic()
    for _ in range(steps):
        subprocess.run(["true"], check=True)
    return time.monotonic() - begun


def newest_training_run(environment: str) -> dict[str, Any]:
    """Return the account of the newest training run that succeeded and trained; empty when there is none."""
    penstock = [sys.executable, "-m", "penstock.cli", "runs"]
    listed = subprocess.run(
        [*penstock, "list", "-n", "50", "--env", environment, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    for run in json.loads(listed.stdout):
        if run["pipeline"] == "training" and run["state"] == "succeeded":
            shown = subprocess.run(
                [*penstock, "show", run["id"], "--env", environment, "--json"],
                capture_output=True,
                text=True,
                check=True,
            )
            account: dict[str, Any] = json.loads(shown.stdout)
            ran = {step["step"] for step in account["steps"] if step["state"] == "succeeded"}
            if "train_model" in ran:
                return account
    return {}


def work_of(account: dict[str, Any]) -> dict[str, float]:
    """Return a run's seconds, the seconds of its steps' own logic, and how many steps ran."""

    def between(part: dict[str, Any]) -> float:
        first, last = (datetime.datetime.fromisoformat(part[key]) for key in ("started", "ended"))
        return (last - first).total_seconds()

    records = [
        step["record"] for step in account["steps"] if step.get("record") and step["state"] != "cached"
    ]
    return {
        "run_s": round(between(account), 1),
        "own_work_s": round(sum(map(between, records)), 1),
        "steps_run": len(records),
    }


def main(environment: str) -> None:
    """Measure, print a table and write results/cluster_overhead.json."""
    image = read_lock(PROJECT.root / "images.lock.json").images["gate"].reference
    backend = connect(load_environment(PROJECT, environment))
    found: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(REPEATS):
            for steps in CHAINS:
                package = Path(folder) / f"overhead-{steps}.yaml"
                chain(image, steps, package)
                found.setdefault(steps, []).append(measure_chain(backend.client, package))
                print(f"{steps} steps: {found[steps][-1]:.0f} s", flush=True)
    short, long = CHAINS
    per_step = [(b - a) / (long - short) for a, b in zip(found[short], found[long], strict=True)]
    median = statistics.median(per_step)
    account = newest_training_run(environment)
    result = {
        "chains_s": {str(steps): [round(one, 1) for one in times] for steps, times in found.items()},
        "per_step_s": {
            "min": round(min(per_step), 1),
            "median": round(median, 1),
            "max": round(max(per_step), 1),
        },
        "per_run_s": round(statistics.median(found[short]) - short * median, 1),
        "local_process_per_step_s": round(local_seconds(long) / long, 4),
        "training": work_of(account) if account else None,
    }
    path = Path(__file__).parent / "results" / "cluster_overhead.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    table = Table("what", "seconds")
    table.add_row("a step that does nothing, on the cluster", f"{median:.1f}")
    table.add_row("a run, whatever it does", f"{result['per_run_s']:.1f}")
    table.add_row("a process that does nothing, on this machine", f"{result['local_process_per_step_s']:.4f}")
    if account:
        for name, value in work_of(account).items():
            table.add_row(f"newest training run: {name}", str(value))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "test")
