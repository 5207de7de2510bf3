"""`make demo-rollout`: a good challenger is promoted and a bad one rolled back, on real trips sent as requests.

    version 1   learns from the trips of 2013; the champion
    version 2   learns from 2013 and 2014: newer and more data; expected to be promoted
    version 3   version 2 with the payment type replaced by 'Cash', as after a broken join; made worse on purpose, the
                weights are those of version 2; expected to be rolled back

The prediction service answers the trips of 2015 and 2016, which no version has seen, through Envoy on this machine.
Everything lies in .penstock/rollout_demo and is made anew by each call, but for the cache of its runs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.rollout_demo.replay import Replay, read_trips
from penstock.components.serving_model.folder import ModelFolder
from penstock.local.envs import ensure_stacks
from penstock.project import Project, find_project

MODEL = "taxi"
SECONDS_2015 = 1_420_070_400  # 2015-01-01 in UTC
SPOILT = ("payment_type", "Cash")
HOLD_S = 8
PAUSE_S = 4  # between looks, each of which takes longer than this
MOST_LOOKS = 12
FRESH = ("registry.db", "mlflow-artifacts", "endpoints", "taxi", "bad_model", "models")
ROLLOUT = f"""
rollout:
  strategy: canary
  canary: {{stages: [25, 100], hold: PT{HOLD_S}S, min_requests: 150}}
  guardrails:
    outcome_drop: 0.03  # right predictions: three points fewer than the champion's are harm
    latency_ratio: 0  # off: the versions share this machine's cores with the replay and the pipeline
"""


class Demo:
    """The project with a state folder of the demo's own."""

    def __init__(self, project: Project, port: int, rate: float) -> None:
        self.project, self.port, self.rate = project, port, rate
        self.home = project.state / "rollout_demo"
        self.app = self.home / MODEL
        self.env = {**os.environ, "PENSTOCK_HOME": str(self.home)}
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the time since the beginning."""
        print(f"[{time.monotonic() - self.began:4.0f} s] {text}", flush=True)

    def prepare(self) -> None:
        """Make the state folder: an app with a section `rollout`, an empty registry; no endpoint is left over."""
        self.home.mkdir(parents=True, exist_ok=True)
        if (self.home / "endpoints").is_dir():
            self.penstock("serve", "--stop", check=False)
        for name in FRESH:
            found = self.home / name
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
        if not (self.home / "envs").exists():
            (self.home / "envs").symlink_to((self.project.state / "envs").absolute())
        source = self.project.apps / MODEL
        shutil.copytree(source, self.app, ignore=shutil.ignore_patterns("data", "__pycache__"))
        settings = (source / "app.yaml").read_text(encoding="utf-8")
        settings = settings.replace("data/trips.csv.gz", str(self.trips))
        (self.app / "app.yaml").write_text(settings + ROLLOUT, encoding="utf-8")

    @property
    def trips(self) -> Path:
        """The sample data."""
        return self.project.apps / MODEL / "data" / "trips.csv.gz"

    def penstock(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call the command line; what it says on stderr is shown only when it fails."""
        command = [str(Path(sys.executable).with_name("penstock")), *arguments]
        done = subprocess.run(
            command, env=self.env, cwd=self.project.root, capture_output=True, text=True, check=False
        )
        if check and done.returncode not in (0, 3):
            sys.exit(
                f"{' '.join(['penstock', *arguments])} ended with {done.returncode}:\n{done.stderr[-3000:]}"
            )
        return done

    def train(self, until: str) -> str:
        """Train on the trips before a date; return the version."""
        done = self.penstock("run", "training", "--app", str(self.app), "--set", f"until={until}", "--json")
        run = json.loads(done.stdout)
        step = next((one for one in run["steps"] if one["step"] == "register_model"), None)
        if run["state"] != "succeeded" or step is None:
            sys.exit(f"training until {until} ended as {run['state']}: penstock runs show {run['id']}")
        return str(step["record"]["results"]["version"])

    def spoil(self, folder: Path) -> str:
        """Register a copy of a model that is worse; return its version."""
        pythons = ensure_stacks(self.project, ["tensorflow", "control"])
        into = self.home / "bad_model"
        env = {**self.env, "PYTHONPATH": str(self.project.root), "TF_CPP_MIN_LOG_LEVEL": "3"}
        module = "benchmarks.rollout_demo"
        _quietly([str(pythons["tensorflow"]), "-m", f"{module}.spoil", str(folder), *SPOILT, str(into)], env)
        registry = f"sqlite:///{self.home / 'registry.db'}"
        words = f"version 2 with {SPOILT[0]} always {SPOILT[1]!r}: made for the demo"
        return _quietly(
            [str(pythons["control"]), "-m", f"{module}.registering", registry, MODEL, str(into), words], env
        )

    def folder_of(self, version: str) -> Path:
        """Return the model folder of a deployed version."""
        state = json.loads(self.penstock("endpoint", "show", MODEL, "--json").stdout)
        return Path(state["versions"][version]["uri"])

    def roll_out(self, version: str) -> dict[str, Any]:
        """Give a version traffic, look by look, until it is promoted or rolled back; return the last look."""
        look: dict[str, Any] = {}
        for number in range(MOST_LOOKS):
            words = ("start", "--version", version) if number == 0 else ("advance",)
            look = json.loads(
                self.penstock("rollout", words[0], "--app", str(self.app), "--json", *words[1:]).stdout
            )
            shares = ", ".join(f"version {one}: {share} %" for one, share in look["shares"].items())
            self.say(f"look {number + 1}: {look['decision']:<8} {shares:<30} {look['reasons'][0]}")
            if look["decision"] in ("promote", "rollback", "stop"):
                break
            time.sleep(PAUSE_S)
        return look


def main() -> int:
    """Run the demo; 0 when the good version was promoted and the bad one rolled back."""
    parser = argparse.ArgumentParser(prog="make demo-rollout", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=8093)
    parser.add_argument("--rate", type=float, default=50, help="requests per second")
    given = parser.parse_args()
    demo = Demo(find_project(Path(__file__).parent), given.port, given.rate)
    demo.prepare()
    demo.say("training version 1 on the trips of 2013")
    champion = demo.train("2014-01-01")
    demo.say(f"version {champion} is the champion; training the next on 2013 and 2014")
    good = demo.train("2015-01-01")
    demo.say(f"version {good} is registered as its challenger; serving version {champion}")
    try:
        demo.penstock(
            "serve", "--detach", "--app", str(demo.app), "--port", str(given.port), "--replicas", "1"
        )
        return _watch(demo, champion, good)
    finally:
        demo.penstock("serve", "--stop", check=False)


def _watch(demo: Demo, champion: str, good: str) -> int:
    inputs = ModelFolder.read(demo.folder_of(champion)).inputs
    trips = list(
        read_trips(
            demo.trips,
            inputs,
            lambda row: int(row["trip_start_timestamp"]) >= SECONDS_2015 and float(row["fare"]) > 0,
        )
    )
    demo.say(f"replaying {len(trips):,} trips of 2015 and 2016, {demo.rate:g} requests a second")
    outcomes = demo.home / "endpoints" / MODEL / "outcomes"
    with Replay(trips, f"http://127.0.0.1:{demo.port}", MODEL, demo.rate, outcomes) as replay:
        promoted = demo.roll_out(good)
        bad = demo.spoil(demo.folder_of(good))
        demo.say(
            f"version {bad} is version {good} with {SPOILT[0]} always {SPOILT[1]!r}, as after a broken join"
        )
        rolled_back = demo.roll_out(bad)
    failed = sum(count for (_, status), count in replay.counts.items() if status != 200)
    answered = {}
    for (version, status), count in sorted(replay.counts.items()):
        if status == 200:
            answered[version] = answered.get(version, 0) + count
    print()
    print(f"version {good}, better:  {promoted['done']}")
    print(f"version {bad}, worse:   {rolled_back['done']}")
    shares = ", ".join(f"version {version}: {count:,}" for version, count in answered.items())
    print(f"requests:           {sum(answered.values()):,} answered ({shares}), {failed} failed")
    print(f"report, promoted:   {promoted['report']}")
    print(f"report, rolled back: {rolled_back['report']}")
    as_expected = (promoted["decision"], rolled_back["decision"]) == ("promote", "rollback")
    if not as_expected:
        print("this is not what the demo expects: a promotion and a rollback", file=sys.stderr)
    return 0 if as_expected else 1


def _quietly(command: list[str], env: dict[str, str]) -> str:
    """Run a program and return the last line that it prints."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[1:4])} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return (done.stdout.strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    sys.exit(main())
