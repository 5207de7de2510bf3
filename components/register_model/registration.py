"""Registers a model once, and promotes it.

Each part can be done again after a crash at any point: the folders are copied under the same names, the version
is found by its key, the aliases move in an order that leaves a champion at every moment (see
model_registry.promotion).
"""

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.components.model_registry import names
from penstock.components.model_registry.mlflow_limits import names as metric_names
from penstock.components.model_registry.promotion import make_champion, why_superseded
from penstock.components.model_registry.store import Store, StoredRun, Version
from penstock.components.register_model.facts import Facts
from penstock.components.register_model.lineage import description, run_tags, version_tags
from penstock.components.register_model.mlmodel_file import write_mlmodel

log = logging.getLogger(__name__)

BACKGROUND = "background.json"  # of explain_model: what the service compares rows with that it explains
CHALLENGES = "it challenges the champion: a rollout promotes it or rolls it back"


@dataclass(frozen=True)
class Registered:
    """How it went."""

    version: Version
    run: StoredRun
    promoted: bool
    note: str  # why it is not the champion, or that it was there before


def register(
    store: Store,
    facts: Facts,
    key: str,
    folders: Mapping[str, Path],
    promote: bool,
    challenge: bool = False,
) -> Registered:
    """Register a model, unless it is registered already, and promote it if asked.

    Args:
        store: The registry.
        facts: What is known of the model.
        key: The model's content key.
        folders: What goes into the registry, by name; `model`, `statistics` and `explanation` are among them.
        promote: Make it the champion.
        challenge: Where there is a champion already, leave that to a rollout.
    """
    with store.lock():
        existing = first_with_key(store, facts.model_name, key)
        if existing is None:
            version, run = _register(store, facts, key, folders)
            note = ""
        else:
            version, run = existing, _run_of(store, facts, existing.tags.get(names.RUN_ID, facts.run_id))
            note = f"the same model was registered before, as version {existing.number}"
            log.info("%s: nothing is registered twice", note)
        champion = store.version_of(facts.model_name, names.CHAMPION)
        superseded = why_superseded(version, champion)
        if superseded:
            log.warning("not promoted: %s; to bring it back, promote it by hand", superseded)
            return Registered(version, run, False, superseded)
        if names.CHAMPION not in version.aliases:
            store.set_alias(facts.model_name, names.CHALLENGER, version.number)
        if promote and challenge and champion is not None and champion.number != version.number:
            return Registered(version, run, False, note or CHALLENGES)
        if promote:
            make_champion(store, version)
            return Registered(version, run, True, note)
        is_champion = names.CHAMPION in version.aliases
        return Registered(version, run, is_champion, note if is_champion else "promotion is turned off")


def first_with_key(store: Store, model: str, key: str) -> Version | None:
    """Return the first version registered of this very model."""
    found = store.versions(model, {names.KEY: key})
    return found[-1] if found else None


def _register(store: Store, facts: Facts, key: str, folders: Mapping[str, Path]) -> tuple[Version, StoredRun]:
    run = _run_of(store, facts, facts.run_id)
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / names.MODEL_FOLDER
        shutil.copytree(folders[names.MODEL_FOLDER], model)
        shutil.copyfile(folders["explanation"] / BACKGROUND, model / BACKGROUND)
        write_mlmodel(model, facts.model, run.id, key, run.started_ms)
        uris = store.put_folders(run, {**folders, names.MODEL_FOLDER: model})
    store.log(
        run.id,
        parameters={name: _text(value) for name, value in facts.model["parameters"].items()},
        metrics=metric_names(facts.metrics_with_intervals()),
        tags=run_tags(facts, uris["statistics"]),
        at_ms=run.started_ms,
    )
    version = store.create_version(
        facts.model_name,
        uris[names.MODEL_FOLDER],
        run.id,
        description(facts),
        version_tags(facts, key, uris["statistics"]),
    )
    first = first_with_key(store, facts.model_name, key)
    if first is not None and first.number != version.number:
        # A server has no lock: another run has registered the same model at the same time, and came first.
        store.delete_version(facts.model_name, version.number)
        return first, run
    log.info("registered %s version %d from %s", facts.model_name, version.number, version.source)
    return version, run


def _run_of(store: Store, facts: Facts, run_id: str) -> StoredRun:
    """Return the MLflow run of this step in a pipeline run; begin it if there is none."""
    experiment = names.experiment_name(facts.model_name)
    tags = {names.RUN_ID: run_id, names.STEP: "register_model"}
    found = store.runs(experiment, tags)
    return found[0] if found else store.start_run(experiment, "register_model", _now_ms(), tags)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _now_ms() -> int:
    return int(time.time() * 1000)
