"""Run every test in the environment that it belongs to; closes with one line of totals.

    python tests/run.py [PATH...] [pytest options]

The steps of a stack, and the modules that they share, are tested with that stack's Python; all else
with the command line's. Two run beside each other. Paths choose tests; what begins with a dash goes to
each pytest. Without a path, tests/containers and tests/cluster are left out: they need a Docker engine and
a cluster. What failed is told once more at the end.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from penstock.local.envs import ensure_stacks
from penstock.project import Project, find_project
from penstock.versions import shared_modules

ROOT = Path(__file__).parent.parent
CLI = "cli"
RUNS = "runs"  # of the command line as well, but whole runs: half of its time
WHOLE_RUNS = ("local", "training")
AT_ONCE = 2  # mostly one core each
NEED_MORE = ("containers", "cluster")  # suites that run only when named
FAILURES = re.compile(r"=+ (FAILURES|ERRORS) =+")
LONGEST_ACCOUNT = 200  # lines of what failed in one stack
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors|xfailed|deselected)")


def stack_of(test: Path, project: Project) -> str:
    """Return the stack in whose environment a test file runs; `cli` and `runs` are the command line's."""
    parts = test.relative_to(project.root / "tests").parts
    listed = yaml.safe_load((project.images / "images.yaml").read_text())
    steps = {name: step["stack"] for name, step in listed["steps"].items()}
    steps |= {one["code"]: one["stack"] for one in listed["services"].values() if one.get("code")}
    if parts[0] == "apps" and len(parts) > 2:
        return "tensorflow"  # an app's own Python runs inside train_model
    if parts[0] == "cloud":
        return "control"  # which holds the vendor's own SDK
    if parts[0] != "components":
        return RUNS if parts[0] in WHOLE_RUNS else CLI
    if parts[1] in steps:
        return str(steps[parts[1]])
    users = sorted(stack for step, stack in steps.items() if parts[1] in shared_modules(project, step))
    return str(users[0]) if users else CLI


def collect(paths: Iterable[Path]) -> list[Path]:
    """Return the test files under the paths."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            sys.exit(f"{path} is not there")
        found += sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    return found


def main(arguments: list[str]) -> int:
    """Run the tests and return the exit code."""
    project = find_project(ROOT)
    # `-k EXPRESSION` and the like: the value follows the option.
    chosen = [a for i, a in enumerate(arguments) if not a.startswith("-") and not _is_value(arguments, i)]
    options = [a for i, a in enumerate(arguments) if a.startswith("-") or _is_value(arguments, i)]
    everything = [path for path in sorted((ROOT / "tests").iterdir()) if path.name not in NEED_MORE]
    files = collect([Path(c).absolute() for c in chosen] or [path for path in everything if path.is_dir()])
    by_stack: dict[str, list[Path]] = {}
    for file in files:
        by_stack.setdefault(stack_of(file, project), []).append(file)
    stacks = sorted(stack for stack in by_stack if stack not in (CLI, RUNS))
    pythons = {
        **dict.fromkeys((CLI, RUNS), Path(sys.executable)),
        **ensure_stacks(project, stacks, test=True),
    }
    totals: Counter[str] = Counter()
    failed: dict[str, list[str]] = {}
    order = [*(one for one in (CLI, RUNS) if one in by_stack), *stacks]  # the longest first
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = pool.map(lambda stack: run_pytest(pythons[stack], by_stack[stack], options, stack), order)
        for stack, (code, counts, account) in zip(order, ended, strict=True):
            totals.update(counts)
            if code not in (0, 5):  # 5: nothing was chosen by -k
                failed[stack] = account
    report_coverage()
    for stack, account in failed.items():
        print()
        for line in account:
            say(stack, line)
    bad = totals["failed"] + totals["error"] + totals["errors"]
    if failed and not bad:
        bad = len(failed)
    print(f"\n{totals['passed']} passed, {bad} failed, {totals['skipped']} skipped")
    return 1 if failed or not totals["passed"] else 0


def run_pytest(
    python: Path, files: list[Path], options: list[str], stack: str
) -> tuple[int, Counter[str], list[str]]:
    """Run pytest and return its exit code, the counts of its closing line and the account of what failed."""
    started = time.monotonic()
    environment = {**os.environ, "COVERAGE_FILE": str(ROOT / f".coverage.{stack}"), "PYTHONPATH": str(ROOT)}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    command = [str(python), "-m", "pytest", "--cov=penstock", "--cov=components", "--cov-report=", *options]
    process = subprocess.Popen(
        [*command, *map(str, files)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    say(stack, f"{len(files)} files")
    last = ""
    lines: list[str] = []
    for line in process.stdout:
        say(stack, line.rstrip())
        lines.append(line.rstrip())
        last = line if COUNT.search(line) else last
    code = process.wait()
    say(stack, f"ended after {time.monotonic() - started:.0f} s with exit code {code}")
    first = next((at for at, line in enumerate(lines) if FAILURES.match(line)), len(lines) - 5)
    account = lines[max(0, first) :][-LONGEST_ACCOUNT:]
    return code, Counter({word: int(count) for count, word in COUNT.findall(last)}), account


def say(stack: str, line: str) -> None:
    """Print a line of one stack's tests, whole."""
    sys.stdout.write(f"{stack:>10} | {line}\n")
    sys.stdout.flush()


def report_coverage() -> None:
    """Print the coverage of all environments together."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", "--keep"], cwd=ROOT, check=False, capture_output=True)
    report = subprocess.run(
        [*coverage, "report", "--format=total"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if report.returncode == 0:
        print(f"\ncoverage: {report.stdout.strip()} % of the lines")


def _is_value(arguments: list[str], index: int) -> bool:
    return index > 0 and arguments[index - 1] in ("-k", "-m", "--durations", "-n", "--lf")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
