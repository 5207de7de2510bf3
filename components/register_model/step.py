import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from penstock.components.model_registry.opening import open_store
from penstock.components.model_registry.store import Store
from penstock.components.register_model.card import make_card
from penstock.components.register_model.card_pages import markdown, write_html
from penstock.components.register_model.content_key import content_key
from penstock.components.register_model.facts import Data, read_facts, without_password
from penstock.components.register_model.registration import Registered, register
from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    """Output parameters."""

    version: str
    model_uri: str
    promoted: bool


def run(
    model: InputArtifact,
    statistics: InputArtifact,
    evaluation: InputArtifact,
    rules: InputArtifact,
    explanation: InputArtifact,
    app: InputArtifact,
    model_name: str,
    run_id: str,
    app_version: str,
    code_version: str,
    fingerprint: str,
    source: str,
    query: str,
    since: str,
    until: str,
    data_fingerprint: str,
    watermark: str,
    rows: int,
    split_rows: dict,
    label_spec: dict,
    verdict: str,
    drift: str,
    champion_version: str,
    card: OutputArtifact,
    card_markdown: OutputArtifact,
    promote: bool = True,
    challenge: bool = False,
    registry_uri: str = "",
) -> Outputs:
    """Register a model that passed, with lineage and a model card, and promote it."""
    data = Data(
        source=without_password(source),
        query=query,
        since=since,
        until=until,
        watermark=watermark,
        rows=rows,
        split_rows=split_rows,
        fingerprint=fingerprint,
        data_fingerprint=data_fingerprint,
        drift=drift,
    )
    facts = read_facts(
        model.path,
        evaluation.path,
        rules.path,
        app.path,
        data,
        model_name=model_name,
        run_id=run_id,
        app_version=app_version,
        code_version=code_version,
        verdict=verdict,
        champion_version=champion_version,
        label=label_spec,
    )
    key = content_key(model.path, fingerprint, app_version, code_version)
    folders = {
        "model": model.path,
        "statistics": statistics.path,
        "evaluation": evaluation.path,
        "rules": rules.path,
        "explanation": explanation.path,
    }
    store = open_store(registry_uri)
    registered = register(store, facts, key, folders, promote, challenge)
    made = make_card(facts, registered)
    write_html(made, card.path)
    card_markdown.path.write_text(markdown(made), encoding="utf-8")
    keep_card(store, registered, card.path, card_markdown.path)
    return Outputs(str(registered.version.number), registered.version.source, registered.promoted)


def keep_card(store: Store, registered: Registered, html: Path, text: Path) -> None:
    """Put the card beside the model in the registry: with it, registering is complete."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "card"
        folder.mkdir()
        shutil.copyfile(html, folder / "card.html")
        shutil.copyfile(text, folder / "card.md")
        store.put_folders(registered.run, {"card": folder})
    store.end_run(registered.run.id, "FINISHED", int(time.time() * 1000))


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    from penstock.components.model_registry.opening import import_client

    import_client()


if __name__ == "__main__":
    main(run)
