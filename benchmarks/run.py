"""Run the benchmarks, each with the Python of its stack: `make bench` or `make bench ARGS=evaluate`.

`cluster_overhead` needs a cluster, `serving` a load generator (or Go, to build it) and a machine that does nothing
beside: they run only when they are named.
"""

import os
import subprocess
import sys
from pathlib import Path

from penstock.local.envs import ensure_stacks
from penstock.project import find_project

HERE = Path(__file__).parent
STACK = {
    "pipeline_overhead": None,
    "step_start": None,
    "evaluate": "tensorflow",
    "data_statistics": "tfdv",
    "predict_batch": "tensorflow",
    "serving": None,
    "rollouts": "tensorflow",
    "cluster_overhead": None,
}
NEED_MORE = {"cluster_overhead", "serving"}


def main(names: list[str]) -> int:
    """Run the named benchmarks (all by default) and return the exit code."""
    unknown = sorted(set(names) - set(STACK))
    if unknown:
        print(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(STACK)}", file=sys.stderr)
        return 2
    names = names or [name for name in STACK if name not in NEED_MORE]
    project = find_project(HERE)
    pythons = ensure_stacks(project, sorted({s for n in names if (s := STACK[n])}))
    for name in names:
        stack = STACK[name]
        python = pythons[stack] if stack else Path(sys.executable)
        print(f"\n== {name}", flush=True)
        done = subprocess.run(
            [python, HERE / f"{name}.py"], check=False, env={**os.environ, "PYTHONPATH": str(project.root)}
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
