"""Wall time of the default run (environments warm, nothing cached) over that of a plain script that does the same.

Both run REPEATS times in turn, so that a drift of the machine's speed hits both. The plain script
(plain_script.py) calls the same steps in one process per stack; what the pipeline adds is a process for
each step, the contract, records, gates, the cache, the run page and the record in MLflow.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from penstock.app_config import load_app
from penstock.app_files import publish
from penstock.local.envs import ensure_stacks
from penstock.project import Project, find_project

REPEATS = 3
PARTS = ("core", "tfdv", "tensorflow", "control")


def run_pipeline(project: Project, home: Path) -> tuple[float, dict[str, Any]]:
    """Run the default pipeline in a fresh state folder; return its seconds and run.json."""
    home.mkdir(parents=True)
    (home / "envs").symlink_to(project.state / "envs")
    started = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("penstock"), "run", "training", "--app", "taxi", "--json"],
        cwd=project.root,
        env={**os.environ, "PENSTOCK_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"the run failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout)


def run_plain(project: Project, home: Path, arguments: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Run the plain script, a process per stack; return its seconds, in all and by stack."""
    home.mkdir(parents=True)
    pythons = ensure_stacks(project, list(PARTS))
    app = load_app(project, "taxi")
    published = publish(app.folder, home, app.name, app.config.schema_file)
    nothing = home / "none"
    nothing.mkdir()
    (nothing / "none.json").write_text("{}")
    state = home / "state.json"
    state.write_text(
        json.dumps(
            {
                **arguments,
                "app": published.app_uri,
                "schema": published.schema_uri,
                "code": published.code_uri,
                "no_baseline": str(nothing),
                "no_champion": str(nothing),
                "champion_version": "",
                "baseline_name": "",
                "run_id": "plain",
                "app_version": "plain",
                "code_version": "plain",
                "registry_uri": f"sqlite:///{home}/registry.db",
                "checkpoint_uri": "",
            }
        )
    )
    by_part = {}
    started = time.monotonic()
    for part in PARTS:
        before = time.monotonic()
        subprocess.run(
            [pythons[part], Path(__file__).parent / "plain_script.py", part, state],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(project.root), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        by_part[part] = time.monotonic() - before
    return time.monotonic() - started, by_part


def main() -> None:
    """Measure both in turn, print where the difference goes and write results/pipeline_overhead.json."""
    project = find_project(Path(__file__).parent)
    ensure_stacks(project, list(PARTS))
    scratch = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    pipeline, plain, steps, parts = [], [], [], []
    arguments = load_app(project, "taxi").arguments()
    try:
        for i in range(REPEATS):
            seconds, run = run_pipeline(project, scratch / f"pipeline-{i}")
            pipeline.append(seconds)
            steps.append({step["task"]: step["seconds"] or 0.0 for step in run["steps"]})
            seconds, by_part = run_plain(project, scratch / f"plain-{i}", arguments)
            plain.append(seconds)
            parts.append(by_part)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    ratios = [a / b for a, b in zip(pipeline, plain, strict=True)]
    result = {
        "pipeline_s": round(statistics.median(pipeline), 2),
        "plain_s": round(statistics.median(plain), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "steps_s": {task: round(statistics.median(s[task] for s in steps), 2) for task in steps[0]},
        "plain_parts_s": {part: round(statistics.median(p[part] for p in parts), 2) for part in PARTS},
    }
    result["outside_steps_s"] = round(result["pipeline_s"] - sum(result["steps_s"].values()), 2)
    table = Table("part", "seconds")
    for task, seconds in result["steps_s"].items():
        table.add_row(task, f"{seconds:.2f}")
    table.add_row("outside the steps", f"{result['outside_steps_s']:.2f}", end_section=True)
    for part, seconds in result["plain_parts_s"].items():
        table.add_row(f"plain: {part}", f"{seconds:.2f}")
    Console(file=sys.stdout).print(table)
    print(
        f"pipeline {result['pipeline_s']} s, plain {result['plain_s']} s, ratio {result['ratio']} {result['ratios']}"
    )
    target = Path(__file__).parent / "results" / "pipeline_overhead.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
