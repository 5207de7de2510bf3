"""What Penstock asks of MLflow: registered versions, aliases, runs; through MLflow's own client."""

import contextlib
import logging
import os
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.components.model_registry import mlflow_limits as limits
from penstock.components.model_registry.locks import file_lock
from penstock.components.model_registry.names import ARTIFACTS, PARENT
from penstock.components.model_registry.places import local_folder
from penstock.components.step_io.errors import StepError

PROBE_S = 5.0  # for a server's first answer
# MLflow's defaults keep trying for four minutes; a server that answered the probe needs far less.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
PER_PAGE = 1_000
ABSENT = "RESOURCE_DOES_NOT_EXIST"
TAKEN = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    model: str
    number: int
    source: str  # URI of the model folder
    run_id: str  # MLflow run
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()
    created_ms: int = 0


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow holds it."""

    id: str
    name: str
    status: str  # RUNNING FINISHED FAILED KILLED
    artifact_uri: str
    started_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)


class Store:
    """The store behind an MLflow URI. Every method raises StepError when the store cannot do it."""

    def __init__(self, uri: str, path: Path | None = None) -> None:
        """Open the store.

        Args:
            uri: Where MLflow finds it.
            path: The database file, if it is a local one.

        Raises:
            StepError: It cannot be reached, wants other credentials, or has another schema revision.
        """
        self.uri, self.path = uri, path
        self._shown = without_password(uri)
        if uri.startswith(("http://", "https://")):
            probe(uri, self._shown)
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.ERROR)
        with self._clear_errors():
            from mlflow.tracking import MlflowClient

            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            self._client.search_registered_models(max_results=1)
            self._client.search_experiments(max_results=1)
        for library in ("mlflow", "alembic"):  # MLflow sets its own on import
            logging.getLogger(library).setLevel(logging.ERROR)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes of this machine from registering and promoting; nothing for a server."""
        if self.path is None:
            return contextlib.nullcontext()
        return file_lock(self.path.with_name(self.path.name + ".lock"))

    # Versions and aliases

    def versions(self, model: str, tags: Mapping[str, str] = {}) -> list[Version]:
        """Return the versions that carry all `tags`, newest first."""
        conditions = [f"name = {_quoted(model)}", *(f"tag.`{k}` = {_quoted(v)}" for k, v in tags.items())]
        found: list[Version] = []
        token = None
        with self._clear_errors():
            aliases = self._aliases(model)
            while True:
                page = self._client.search_model_versions(
                    " and ".join(conditions), max_results=PER_PAGE, page_token=token
                )
                found.extend(_version(version, aliases) for version in page)
                token = page.token
                if not token:
                    break
        return sorted(found, key=lambda version: -version.number)

    def version_of(self, model: str, alias: str) -> Version | None:
        """Return the version that an alias points at."""
        with self._clear_errors():
            aliases = self._aliases(model)
            if alias not in aliases:
                return None
            return _version(self._client.get_model_version(model, str(aliases[alias])), aliases)

    def create_version(
        self, model: str, source: str, run_id: str, description: str, tags: Mapping[str, str]
    ) -> Version:
        """Register a version, and the model with its first one."""
        with self._clear_errors():
            self._unless(TAKEN, lambda: self._client.create_registered_model(model))
            created = self._client.create_model_version(
                model,
                source,
                run_id=run_id,
                description=description,
                tags={
                    key: limits.shorten(value, limits.LONGEST_VERSION_TAG_OF_OLD_SERVERS)
                    for key, value in tags.items()
                },
            )
            return _version(created, {})

    def delete_version(self, model: str, number: int) -> None:
        """Take a version back; its number is not given again."""
        with self._clear_errors():
            self._client.delete_model_version(model, str(number))

    def tag_version(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self._clear_errors():
            for key, value in tags.items():
                text = limits.shorten(value, limits.LONGEST_VERSION_TAG_OF_OLD_SERVERS)
                self._client.set_model_version_tag(model, str(number), key, text)

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a version, in one move."""
        with self._clear_errors():
            self._client.set_registered_model_alias(model, alias, str(number))

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away, if it is there."""
        with self._clear_errors():
            self._unless(ABSENT, lambda: self._client.delete_registered_model_alias(model, alias))

    # Runs

    def runs(
        self, experiment: str, tags: Mapping[str, str], most: int = 1, but_not: Mapping[str, str] = {}
    ) -> list[StoredRun]:
        """Return the runs that carry all of `tags` and none of `but_not`, last started first."""
        found: list[StoredRun] = []
        token = None
        with self._clear_errors():
            holder = self._client.get_experiment_by_name(experiment)
            if holder is None or holder.lifecycle_stage != "active":
                return []
            query = " and ".join(f"tag.`{key}` = {_quoted(value)}" for key, value in tags.items())
            while True:
                # MLflow's `!=` leaves out runs without the tag, so `but_not` is looked at here.
                page = self._client.search_runs(
                    [holder.experiment_id], query, order_by=["attributes.start_time DESC"], page_token=token
                )
                found.extend(
                    run
                    for run in map(_run, page)
                    if not any(carries(run.tags, {key: value}) for key, value in but_not.items())
                )
                token = page.token
                if not token or len(found) >= most:
                    return found[:most]

    def start_run(
        self, experiment: str, name: str, started_ms: int, tags: Mapping[str, str], parent: str = ""
    ) -> StoredRun:
        """Begin a run, and the experiment with its first one."""
        with self._clear_errors():
            own = {PARENT: parent} if parent else {}
            texts = {key: limits.shorten(value, limits.LONGEST_RUN_TAG) for key, value in tags.items()}
            created = self._client.create_run(
                self._experiment(experiment), start_time=started_ms, tags={**own, **texts}, run_name=name
            )
            return _run(created)

    def log(
        self,
        run_id: str,
        parameters: Mapping[str, str] = {},
        metrics: Mapping[str, float] = {},
        tags: Mapping[str, str] = {},
        at_ms: int = 0,
    ) -> None:
        """Write parameters, metrics and tags of a run; a parameter that is there already stays as it is."""
        with self._clear_errors():
            from mlflow.entities import Metric, Param, RunTag

            at_ms = at_ms or int(time.time() * 1000)
            known = self._client.get_run(run_id).data.params if parameters else {}
            left: dict[str, list[Any]] = {
                "params": [
                    Param(key, limits.shorten(value, limits.LONGEST_PARAMETER))
                    for key, value in parameters.items()
                    if key not in known
                ],
                "metrics": [Metric(key, value, at_ms, 0) for key, value in metrics.items()],
                "tags": [
                    RunTag(key, limits.shorten(value, limits.LONGEST_RUN_TAG)) for key, value in tags.items()
                ],
            }
            while any(left.values()):
                batch = {kind: values[: limits.PER_BATCH] for kind, values in left.items()}
                self._client.log_batch(run_id, **batch)
                left = {kind: values[limits.PER_BATCH :] for kind, values in left.items()}

    def end_run(self, run_id: str, status: str, ended_ms: int) -> None:
        """Say how a run ended: FINISHED, FAILED or KILLED."""
        with self._clear_errors():
            self._client.set_terminated(run_id, status, ended_ms)

    # Artifacts

    def put_folders(self, run: StoredRun, folders: Mapping[str, Path]) -> dict[str, str]:
        """Copy folders into a run's artifacts under these names and return their URIs."""
        for source in folders.values():
            if not source.is_dir():  # MLflow would copy nothing, and say nothing
                raise FileNotFoundError(source)
        with self._clear_errors():
            for name, source in folders.items():
                self._client.log_artifacts(run.id, str(source), name)
        return {name: f"{run.artifact_uri.rstrip('/')}/{name}" for name in folders}

    def fetch_folder(self, uri: str, target: Path) -> None:
        """Copy a folder of artifacts to `target`, which is not there yet."""
        source = local_folder(uri)
        if source is not None:
            if not source.is_dir():
                raise StepError(f"{source} is gone: restore it, or point the alias at another version")
            shutil.copytree(source, target)
            return
        with self._clear_errors(), tempfile.TemporaryDirectory(dir=target.parent) as folder:
            from mlflow.artifacts import download_artifacts

            found = Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=self.uri))
            if not any(found.rglob("*")):
                raise StepError(f"{uri} holds no files: restore it, or point the alias at another version")
            shutil.move(found, target)

    def _aliases(self, model: str) -> dict[str, int]:
        """Return the aliases of a model; none when there is no such model."""
        found = self._unless(ABSENT, lambda: self._client.get_registered_model(model))
        return {alias: int(number) for alias, number in found.aliases.items()} if found is not None else {}

    def _experiment(self, name: str) -> str:
        """Return the id of an experiment, which is made or brought back if need be."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            # A server chooses where artifacts go; a local database has them beside it.
            location = None if self.path is None else str(self.path.parent / ARTIFACTS / name)
            created = self._unless(
                TAKEN, lambda: self._client.create_experiment(name, artifact_location=location)
            )
            return str(created or self._client.get_experiment_by_name(name).experiment_id)
        if found.lifecycle_stage != "active":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _unless(self, expected: str, call: Callable[[], Any]) -> Any:
        """Return what `call` returns, or None when MLflow answers with the expected error."""
        from mlflow.exceptions import MlflowException

        try:
            return call()
        except MlflowException as error:
            if error.error_code == expected:
                return None
            raise

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turn what MLflow says into a sentence."""
        try:
            yield
        except StepError:
            raise
        except ModuleNotFoundError as error:
            raise StepError(
                f"the model registry {self._shown} needs the package {error.name!r}, which this image does not hold: "
                "add it to images/control/pyproject.toml"
            ) from error
        except Exception as error:
            raise StepError(sentence(error, self._shown)) from error


def probe(uri: str, shown: str) -> None:
    """Ask a server for any answer at all.

    Raises:
        StepError: None comes within PROBE_S seconds.
    """
    try:
        # MLflow's own health check; a proxy may answer anything, and that is an answer too.
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PROBE_S).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLError):
            return  # it answers; which certificates count is for MLflow's own settings to say
        raise StepError(
            f"the model registry {shown} cannot be reached ({reason}): start it, or correct registry_uri"
        ) from error


def sentence(error: Exception, shown: str) -> str:
    """Return what an error of MLflow's client means, and what to do."""
    text = " ".join(str(error).split())
    status = error.get_http_status_code() if hasattr(error, "get_http_status_code") else None
    code = getattr(error, "error_code", "")
    if status in (401, 403) or code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or _names_status(text):
        return (
            f"the model registry {shown} refuses these credentials: set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to an account that may write"
        )
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        return (
            f"the tables of the MLflow database {shown} belong to another MLflow version: take a backup, then run "
            f"`mlflow db upgrade {shown}` with the version in images/control/uv.lock"
        )
    if "Max retries exceeded" in text or "Connection" in type(error).__name__:
        return f"the model registry {shown} has stopped answering: run again when it does"
    return f"the model registry {shown} answers with an error: {limits.shorten(text, 300)}"


def without_password(uri: str) -> str:
    """Return a URI that can be shown."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(uri)
        if "@" in parts.netloc:
            return parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]).geturl()
    return uri


def _names_status(text: str) -> bool:
    return any(f"error code {status}" in text for status in (401, 403))


def _quoted(text: str) -> str:
    """Return a text for a filter of MLflow, which knows no escape."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _version(found: Any, aliases: Mapping[str, int]) -> Version:
    number = int(found.version)
    return Version(
        model=found.name,
        number=number,
        source=found.source or "",
        run_id=found.run_id or "",
        description=found.description or "",
        tags=dict(found.tags),
        aliases=frozenset(alias for alias, target in aliases.items() if target == number),
        created_ms=found.creation_timestamp,
    )


def _run(found: Any) -> StoredRun:
    return StoredRun(
        id=found.info.run_id,
        name=found.info.run_name,
        status=found.info.status,
        artifact_uri=found.info.artifact_uri,
        started_ms=found.info.start_time,
        tags=dict(found.data.tags),
    )


def carries(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether all wanted tags are there."""
    return all(found.get(key) == value for key, value in wanted.items())
