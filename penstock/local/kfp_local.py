"""Makes kfp.local run each task our way: by an executor of ours, with our cache, and with an account.

kfp.local 2.17 has no official hooks; what is replaced here is what its modules look up at each call. It
needs no docker package, only a module of that name to import: its own runner of containers reports failed
ones as successes (kubeflow/pipelines #13332), ours is docker_executor.
"""

import contextlib
import io
import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from penstock.compile_pipeline import import_kfp
from penstock.local import conditions
from penstock.local.plan import order

ARTIFACTS = "artifacts"


class Call(Protocol):
    """What the runner does for kfp.local."""

    def execute(self, original: Callable[..., Any], task: dict[str, Any]) -> Any:
        """Execute one task: `original(**task)` with an account of it."""

    def run_command(self, command: list[str]) -> bool:
        """Run the command of the task that this thread executes; tell whether it succeeded."""

    def task_folder(self) -> str:
        """Return the name of the folder for outputs of the task that this thread executes."""

    def cached_outputs(self, key: str) -> dict[str, Any] | None:
        """Return the serialized outputs of an equal call, or None."""

    def cache_outputs(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep the serialized outputs of a call."""


def import_kfp_local() -> None:
    """Import kfp and kfp.local, without the API client and without Docker."""
    if "docker" not in sys.modules:
        stub = types.ModuleType("docker")
        stub.DockerClient = None  # type: ignore[attr-defined]
        sys.modules["docker"] = stub
    import_kfp()
    import kfp.local.pipeline_orchestrator  # noqa: F401


def run_pipeline(ir: dict[str, Any], arguments: dict[str, Any], folder: Path, call: Call) -> None:
    """Run a pipeline to its end; failures of tasks are told by `call`, not raised.

    Args:
        ir: The pinned IR (PipelineSpec as JSON fields).
        arguments: Values of the pipeline's parameters.
        folder: The run folder; outputs go to artifacts/<task>/<output>.
        call: What does the work.
    """
    import_kfp_local()
    from google.protobuf import json_format
    from kfp import local
    from kfp.local import pipeline_orchestrator
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(ir, pipeline_spec_pb2.PipelineSpec())
    with _quiet(folder / "logs" / "kfp.log"), _hooks(call, conditions.producers(ir)):
        local.init(
            runner=local.DockerRunner(),
            pipeline_root=str(folder),
            workspace_root=str(folder / "scratch" / "workspace"),
            raise_on_error=False,
            enable_caching=True,
            cache_root=str(folder / "scratch"),  # never used: our cache stands in its place
        )
        _install_cache(call, str(folder / "scratch"))
        pipeline_orchestrator.run_local_pipeline(spec, arguments)


@contextlib.contextmanager
def _hooks(call: Call, producers: dict[str, tuple[str, str]]) -> Iterator[None]:
    from google.protobuf import json_format, struct_pb2
    from kfp.compiler import pipeline_spec_builder
    from kfp.local import docker_task_handler, executor_input_utils, graph_utils, status
    from kfp.local.orchestrator import enhanced_dag_orchestrator, task_executor

    original = task_executor.execute_single_task

    class Handler:
        """Takes the place of the handler that runs a container."""

        def __init__(self, image: str, full_command: list[str], **_: Any) -> None:
            self.command = full_command

        def run(self) -> status.Status:
            done = call.run_command(self.command)
            return status.Status.SUCCESS if done else status.Status.FAILURE

    def in_order(tasks: dict[str, Any]) -> list[str]:
        """Return the tasks, the first to run last: kfp.local pops them off."""
        return order({name: list(task.dependent_tasks) for name, task in tasks.items()})[::-1]

    def holds(condition: str, io_store: Any) -> bool:
        """Evaluate a condition where its task stands: what it reads is an output there, or came from above."""

        def value_of(name: str) -> Any:
            if name in producers:
                with contextlib.suppress(KeyError, ValueError):
                    return io_store.get_task_output(*producers[name])
            return io_store.get_parent_input(name)

        return conditions.evaluate(condition, value_of)

    def to_value(value: Any) -> struct_pb2.Value:
        """Return a parameter's value as a message; kfp's own does not know null, which lists and dicts may hold."""
        return json_format.ParseDict(value, struct_pb2.Value())

    evaluator = enhanced_dag_orchestrator.ConditionEvaluator
    replaced = [
        (evaluator, "evaluate_condition", staticmethod(holds)),
        (docker_task_handler, "DockerTaskHandler", Handler),
        (task_executor, "execute_single_task", lambda **task: call.execute(original, task)),
        (pipeline_spec_builder, "to_protobuf_value", to_value),
        (graph_utils, "topological_sort_tasks", in_order),
        (executor_input_utils, "get_local_pipeline_resource_name", lambda pipeline_name: ARTIFACTS),
        (executor_input_utils, "get_local_task_resource_name", lambda component_name: call.task_folder()),
    ]
    before = [(module, name, vars(module)[name]) for module, name, _ in replaced]
    for module, name, ours in replaced:
        setattr(module, name, ours)
    try:
        yield
    finally:
        for module, name, theirs in before:
            setattr(module, name, theirs)


def _install_cache(call: Call, root: str) -> None:
    """Put our cache where kfp.local looks for its own."""
    from kfp.local import cache

    class Cache(cache.LocalCache):
        """Keyed like kfp.local's, less the component's positional name: the image names the step."""

        def compute_key(self, component_name: str, *args: Any, **kwargs: Any) -> str:
            return str(super().compute_key("", *args, **kwargs))

        def get(self, key: str) -> dict[str, Any] | None:
            outputs = call.cached_outputs(key)
            return None if outputs is None else self._deserialize_outputs(outputs)

        def put(self, key: str, outputs: dict[str, Any]) -> None:
            call.cache_outputs(key, self._serialize_outputs(outputs))

    cache._cache_singleton = Cache(root)
    cache._cache_singleton_root = root


@contextlib.contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Send what kfp.local prints, logs and warns of to a file."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with log.open("a", encoding="utf-8") as output:
        handler = logging.StreamHandler(output)
        root.handlers[:], root.level = [handler], logging.INFO
        try:
            with contextlib.redirect_stdout(_Plain(output)), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            root.handlers[:], root.level = before


class _Plain(io.TextIOBase):
    """Writes text to a file without the colours of a terminal."""

    def __init__(self, output: io.TextIOBase) -> None:
        self.output = output

    def write(self, text: str) -> int:
        import re

        self.output.write(re.sub(r"\x1b\[[0-9;]*m", "", text))
        return len(text)

    def flush(self) -> None:
        self.output.flush()
