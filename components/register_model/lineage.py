"""What the registry keeps of a model: tags for machines, a description for people."""

import json

from penstock.components.metric_words.estimates import estimate_text
from penstock.components.model_registry import names
from penstock.components.model_registry.mlflow_limits import LONGEST_DESCRIPTION, shorten
from penstock.components.register_model.facts import Facts


def version_tags(facts: Facts, key: str, statistics_uri: str) -> dict[str, str]:
    """Return the tags of a version: where it comes from and how it was judged."""
    data = facts.data
    tags = {
        names.KEY: key,
        names.RUN_ID: facts.run_id,
        names.APP: str(facts.app.get("name", "")),
        names.APP_VERSION: facts.app_version,
        names.CODE_VERSION: facts.code_version,
        names.FINGERPRINT: data.fingerprint,
        names.DATA_FINGERPRINT: data.data_fingerprint,
        names.STATISTICS_URI: statistics_uri,
        names.METRICS: json.dumps(facts.metrics(), sort_keys=True),
        names.UNTIL: data.until,
        names.WATERMARK: data.watermark,
        "penstock.since": data.since,
        "penstock.source": data.source,
        "penstock.rows": str(data.rows),
        "penstock.split_rows": json.dumps(dict(data.split_rows), sort_keys=True),
        "penstock.schema_hash": facts.schema_hash,
        "penstock.parent_version": facts.champion_version,
        "penstock.verdict": facts.verdict,
        "penstock.drift": data.drift,
        "penstock.task": str(facts.model["task"]),
        "penstock.label": str(facts.label.get("name", "")),
    }
    return {name: value for name, value in tags.items() if value}


def run_tags(facts: Facts, statistics_uri: str) -> dict[str, str]:
    """Return the tags of the MLflow run that holds the model: what later runs look for."""
    tags = {
        names.FINGERPRINT: facts.data.fingerprint,
        names.STATISTICS_URI: statistics_uri,
        names.TRAINED: "true",
        names.UNTIL: facts.data.until,
        names.WATERMARK: facts.data.watermark,
    }
    return {name: value for name, value in tags.items() if value}


def description(facts: Facts) -> str:
    """Return what MLflow's pages show of a version (Markdown)."""
    data, primary = facts.data, facts.primary
    overall = facts.evaluation["overall"]
    measured = (
        f"{primary} {estimate_text(overall['challenger'][primary])} on {facts.evaluation['rows']:,} test rows"
    )
    against = (
        f", against champion version {facts.champion_version}"
        if overall.get("champion")
        else ", with no champion to compare with"
    )
    text = (
        f"{facts.app.get('description') or 'Predicts ' + str(facts.label.get('name', facts.model['label']))}\n\n"
        f"- {measured}{against}\n"
        f"- learned from {data.rows:,} rows of {data.source}, {data.window}\n"
        f"- verdict {facts.verdict}; drift of the data: {data.drift or 'not measured'}\n"
        f"- pipeline run {facts.run_id}; model card in the run's artifacts, card/card.html\n"
    )
    return shorten(text, LONGEST_DESCRIPTION)
