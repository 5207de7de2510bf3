"""A small real project with a pipeline of tiny steps, so that the runner is tested without TensorFlow.

The data file steers the steps: a JSON object with `numbers` and optionally `decision`, `verdict`, `fail`
(name of the step that fails) with `how` (step_error, bug, silent, memory), `reveal` (name of the step that
writes what surrounds it into its log and succeeds), `hang` (name of the step that waits to be
killed, after it has written the file `hanging`).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent.parent

SPEC = '''from kfp import dsl


@dsl.container_component
def {name}({parameters}):
    """{sentence}"""
    return dsl.ContainerSpec(
        image="penstock/{name}:unpinned",
        command=["python", "-m", "penstock.components.{name}.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
'''

STEP = """import json
from pathlib import Path
from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main
from penstock.components.wording.behave import behave


class Outputs(NamedTuple):
    {outputs}


def run({parameters}):
    steer = behave("{name}", source)
    {body}


if __name__ == "__main__":
    main(run)
"""

BEHAVE = '''import json
import os
import sys
import time
from pathlib import Path

from penstock.components.step_io.errors import StepError


def behave(step, source):
    """Read the steering file and do what it wants of this step."""
    steer = json.loads(Path(source).read_text())
    if steer.get("hang") == step:
        Path(steer["hanging"]).write_text(str(os.getpid()))
        if steer.get("child"):
            import subprocess
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(steer["hanging"]).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    if steer.get("fail") == step:
        if steer["how"] == "step_error":
            raise StepError(f"{source} holds no numbers: write some into it")
        if steer["how"] == "bug":
            raise KeyError("numbers")
        if steer["how"] == "silent":
            os._exit(7)
        if steer["how"] == "memory":
            hoard = [bytearray(16 << 20) for _ in range(64)]
            raise AssertionError(f"{len(hoard) * 16} MiB were not too many")
    if steer.get("reveal") == step:
        try:
            Path("/written").touch()
        except OSError as error:
            writing = error.strerror
        Path("/tmp/written").touch()
        seen = {"env": dict(os.environ), "uid": os.getuid(), "writing": writing}
        print("seen " + json.dumps(seen), flush=True)
    return steer
'''

# name, parameters of the spec, parameters of run, output parameters, body
STEPS = [
    (
        "look",
        "source: str, fingerprint: dsl.OutputPath(str), decision: dsl.OutputPath(str)",
        "source: str",
        "fingerprint: str\n    decision: str",
        'return Outputs(json.dumps(steer["numbers"]), steer.get("decision", "train"))',
    ),
    (
        "produce",
        "source: str, fingerprint: str, dataset: dsl.Output[dsl.Dataset], rows: dsl.OutputPath(int), limits: dsl.OutputPath(dict)",
        "source: str, fingerprint: str, dataset: OutputArtifact",
        "rows: int\n    limits: dict",
        "numbers = json.loads(fingerprint)\n"
        '    (dataset.path / "inner").mkdir(parents=True)\n'
        '    (dataset.path / "numbers.json").write_text(fingerprint)\n'
        '    (dataset.path / "inner" / "count.txt").write_text(str(len(numbers)))\n'
        '    return Outputs(len(numbers), {"most": None, "least": [1, None]})',
    ),
    (
        "judge",
        "source: str, rows: int, dataset: dsl.Input[dsl.Dataset], report: dsl.Output[dsl.HTML], "
        "verdict: dsl.OutputPath(str), reasons: dsl.OutputPath(list)",
        "source: str, rows: int, dataset: InputArtifact, report: OutputArtifact",
        "verdict: str\n    reasons: list",
        'report.path.write_text("<!DOCTYPE html><title>judged</title><p>judged")\n'
        '    verdict = "block" if rows < 2 else "pass"\n'
        '    return Outputs(verdict, [f"{rows} rows, expected 2 at least"] if verdict == "block" else [])',
    ),
    (
        "learn",
        "source: str, seed: int, limits: dict, dataset: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model], "
        "notes: dsl.Output[dsl.Markdown]",
        "source: str, seed: int, limits: dict, dataset: InputArtifact, model: OutputArtifact, notes: OutputArtifact",
        "pass",
        'numbers = json.loads((dataset.path / "numbers.json").read_text())\n'
        '    assert limits == {"most": None, "least": [1, None]}, limits\n'
        "    model.path.write_text(str(sum(numbers) + seed))\n"
        '    notes.path.write_text("# Learned")',
    ),
    (
        "tell",
        "source: str, status: dsl.PipelineTaskFinalStatus",
        "source: str, status: dict",
        "pass",
        "import os\n"
        '    seen = json.loads((Path(os.environ["PENSTOCK_RUN_DIR"]) / "run.json").read_text())\n'
        '    states = {step["task"]: step["state"] for step in seen["steps"]}\n'
        '    line = json.dumps({"state": seen["state"], "steps": states})\n'
        '    with open(os.environ["PENSTOCK_NOTIFICATIONS"], "a") as file:\n'
        '        file.write(line + "\\n")',
    ),
]

PIPELINE = '''"""A small pipeline."""

from kfp import dsl

from penstock.components.gate.spec import gate
from penstock.components.judge.spec import judge
from penstock.components.learn.spec import learn
from penstock.components.look.spec import look
from penstock.components.produce.spec import produce
from penstock.components.tell.spec import tell


@dsl.pipeline(name="training")
def training(app: str, app_uri: str, source: str, seed: int = 0, query: str = ""):
    """Do little."""
    told = tell(source=source).set_caching_options(False)
    with dsl.ExitHandler(told, name="guarded"):
        dsl.importer(artifact_uri=app_uri, artifact_class=dsl.Artifact, reimport=False).set_display_name("app")
        looked = look(source=source).set_caching_options(False)
        with dsl.If(looked.outputs["decision"] == "train", name="train"):
            produced = produce(source=source, fingerprint=looked.outputs["fingerprint"])
            judged = judge(source=source, rows=produced.outputs["rows"], dataset=produced.outputs["dataset"])
            stop = gate(
                verdict=judged.outputs["verdict"],
                reasons=judged.outputs["reasons"],
                evidence=judged.outputs["report"],
                subject="data",
            ).set_display_name("gate: data")
            learn(source=source, seed=seed, limits=produced.outputs["limits"], dataset=produced.outputs["dataset"]).after(stop)
'''

APP = """name: toy
data:
  source: steer.json
label:
  name: big
  sql: n > 1
"""

SCHEMA = 'feature { name: "n" type: INT }\n'


class Toy:
    """A project in a temporary folder, and the command line run in it as a process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steering = root / "apps" / "toy" / "steer.json"
        self.runs = root / ".penstock" / "runs"
        package = root / "penstock"
        shutil.copytree(
            REPOSITORY / "penstock", package, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        components = root / "components"
        components.mkdir()
        (components / "__init__.py").touch()
        for module in (REPOSITORY / "components").iterdir():
            is_shared = (module / "__init__.py").exists() and not (module / "spec.py").exists()
            if is_shared or module.name == "gate":
                shutil.copytree(
                    module, components / module.name, ignore=shutil.ignore_patterns("__pycache__")
                )
        write(components / "wording" / "__init__.py", "")
        write(components / "wording" / "behave.py", BEHAVE)
        for name, spec, parameters, outputs, body in STEPS:
            write(components / name / "__init__.py", "")
            write(
                components / name / "spec.py",
                SPEC.format(name=name, parameters=spec, sentence=f"{name.capitalize()} at something."),
            )
            write(
                components / name / "step.py",
                STEP.format(name=name, parameters=parameters, outputs=outputs, body=body),
            )
        write(root / "pipelines" / "__init__.py", "")
        write(root / "pipelines" / "training.py", PIPELINE)
        steps = "".join(f"  {name}: {{stack: tiny}}\n" for name in ("gate", *(step[0] for step in STEPS)))
        write(root / "images" / "images.yaml", f"steps:\n{steps}")
        write(root / "images" / "tiny" / "uv.lock", "version = 1\n")
        write(root / "apps" / "toy" / "app.yaml", APP)
        write(root / "apps" / "toy" / "schema.pbtxt", SCHEMA)
        self.steer(numbers=[1, 2, 3])

    def steer(self, **wishes: Any) -> None:
        """Say what the steps shall find and do."""
        write(self.steering, json.dumps(wishes))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `penstock <arguments>` in the project."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        env = {
            **inherited,
            "PYTHONPATH": str(self.root),
            "PENSTOCK_STACK_PYTHON_TINY": sys.executable,
            "COLUMNS": "120",
            **environment,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *arguments],
            cwd=self.root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def penstock(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `penstock <arguments>` to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the pipeline."""
        return self.penstock("run", "training", "--app", "toy", *arguments, **environment)

    def latest(self) -> dict[str, Any]:
        """Return run.json of the newest run."""
        newest = max(path for path in self.runs.iterdir() if not path.is_symlink())
        return json.loads((newest / "run.json").read_text())

    def states(self) -> dict[str, str]:
        """Return the state of each step of the newest run."""
        return {step["task"]: step["state"] for step in self.latest()["steps"]}


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def wait_for(path: Path, process: subprocess.Popen[str], limit_s: float = 60) -> str:
    """Return the content of a file as soon as it is there."""
    deadline = time.monotonic() + limit_s
    while not (path.is_file() and path.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(f"{path} did not come: {process.communicate()}")
        time.sleep(0.02)
    return path.read_text()


def is_running(pid: int) -> bool:
    """Tell whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
