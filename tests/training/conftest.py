"""The real training pipeline, run as people run it: the `penstock` command, the real stacks, real data."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.project import find_project

PROJECT = find_project(Path(__file__).parent)
PENSTOCK = [sys.executable, "-m", "penstock.cli"]
# Explanations and the proof of serving have tests of their own: here they need not be thorough.
BRIEF = ("--set", "explained_rows=50", "--set", "serving={load_s: 1, replayed_rows: 50}")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def run(self) -> dict[str, Any]:
        """run.json, of a command that was called with --json."""
        return json.loads(self.stdout)

    def step(self, task: str) -> dict[str, Any]:
        """A step of the run by its task's name."""
        return next(step for step in self.run["steps"] if step["task"] == task)

    def states(self) -> dict[str, str]:
        """The state of each step by its task's name."""
        return {step["task"]: step["state"] for step in self.run["steps"]}

    @property
    def says(self) -> str:
        """All that a person would read, in one line."""
        return " ".join((self.stdout + " " + self.stderr).split())


class Home:
    """A state folder of its own, with the project's stack environments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        envs = PROJECT.state / "envs"
        envs.mkdir(parents=True, exist_ok=True)
        (folder / "envs").symlink_to(envs)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables under which commands use this state folder."""
        return {**os.environ, "PENSTOCK_HOME": str(self.folder), "PYTHONPATH": str(PROJECT.root)}

    def __call__(self, *arguments: str | Path) -> Result:
        """Run `penstock ARGUMENTS`."""
        done = subprocess.run(
            [*PENSTOCK, *map(str, arguments)],
            cwd=PROJECT.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def train(self, app: str | Path, *more: str) -> Result:
        """Run the training pipeline on an app."""
        return self("run", "training", "--app", app, "--json", *BRIEF, *more)


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Home]:
    """Make a fresh state folder."""
    return lambda name: Home(tmp_path_factory.mktemp(name) / "state")


SMALL_MODEL = "model: {hidden_units: [8], epochs: 4, learning_rate: 0.01, batch_size: 64}\n"


def customers(rows: int = 600, seed: int = 1) -> list[dict[str, Any]]:
    """Make rows of a customer table: odd names, missing values, a text label that the columns explain."""
    draw = random.Random(seed)
    table = []
    for i in range(rows):
        months = draw.randint(1, 72)
        plan = draw.choice(["Basic", "Plus", "Größe L"])
        calls = draw.randint(0, 9)
        risk = 2.5 - months / 18 + (plan == "Basic") + calls / 3 + draw.gauss(0, 0.7)
        table.append(
            {
                "Customer ID": f"C-{i:05d}",
                "Months active": months,
                "plan": plan if draw.random() > 0.05 else "",
                "Monthly fee (€)": round(draw.uniform(5, 90), 2) if draw.random() > 0.1 else "",
                "support calls": calls,
                "paperless": draw.choice(["true", "false"]),
                "churned": "Yes" if risk > 2.2 else "No",
                "segment": "low" if risk < 1 else "middle" if risk < 3 else "high",
                "lifetime value": round(100 * months + 30 * calls + draw.gauss(0, 60), 2),
            }
        )
    return table


def write_csv(path: Path, table: list[dict[str, Any]], delimiter: str = ",") -> None:
    """Write rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)


def write_app(
    folder: Path,
    label: str = "column: churned",
    exclude: str = "[Customer ID, segment, lifetime value]",
    more: str = "",
) -> Path:
    """Write an app folder with only app.yaml beside its data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.yaml").write_text(
        "name: customers\n"
        "data: {source: customers.csv}\n"
        f"label: {{{label}}}\n"
        "split: {key: [Customer ID]}\n"
        f"features: {{exclude: {exclude}}}\n"
        "evaluation: {slices: [plan], resamples: 200}\n"
        "thresholds: {metrics: {}, improvement: {rule: off}}\n" + SMALL_MODEL + more,
        encoding="utf-8",
    )
    return folder
