"""Vertex AI's own client takes the IR that KFP takes: the reviewed one, and the delivered one with digests."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

ROOT = Path(__file__).parents[2]
REVIEWED = sorted((ROOT / "pipelines" / "compiled").glob("*.yaml"))
TRAINING = ROOT / "pipelines" / "compiled" / "training.yaml"
# What the taxi app gives: each type that a parameter may have.
TAXI: dict[str, Any] = {
    "app": "taxi",
    "app_uri": "gs://bucket/apps/taxi/abc",
    "app_version": "abc",
    "code_uri": "gs://bucket/apps/taxi/abc/code",
    "code_version": "def",
    "schema_uri": "gs://bucket/apps/taxi/abc/schema",
    "checkpoint_uri": "gs://bucket/checkpoints",
    "label": {"column": "tips", "above": {"column": "fare", "times": 0.2}},
    "model_name": "taxi",
    "registry_uri": "https://mlflow.example.com",
    "source": "gs://bucket/taxi/*.parquet",
    "cleaning": ["fare > 0", "trip_seconds is not null"],
    "confidence": 0.9,
    "min_rows": 5000,
    "promote": False,
    "seed": 7,
    "thresholds": {"accuracy": {"min": 0.7}},
    "until": "2016-01-01",
}


def pipeline_job(path: Path, values: dict[str, Any] | None = None) -> Any:
    """Make the job as `submit` would, without a call: nothing here reaches a network."""
    return aiplatform.PipelineJob(
        display_name="check",
        template_path=str(path),
        pipeline_root="gs://bucket/root",
        parameter_values=values or {},
        project="project",
        location="europe-west1",
        credentials=AnonymousCredentials(),
    )


def with_digests(ir: dict[str, Any]) -> dict[str, Any]:
    """Return an IR as the lock of the images makes it."""
    delivered = copy.deepcopy(ir)
    for number, executor in enumerate(delivered["deploymentSpec"]["executors"].values()):
        if "container" in executor:
            step = executor["container"]["image"].rpartition("/")[2].partition(":")[0]
            registry = "europe-west1-docker.pkg.dev/project/penstock"
            executor["container"]["image"] = f"{registry}/{step}@sha256:{number:064x}"
    return delivered


def runtime(job: Any) -> Any:
    """Return what would be sent as parameters, by name."""
    return job._gca_resource.runtime_config.parameter_values


@pytest.mark.parametrize("path", REVIEWED, ids=lambda path: path.stem)
def test_reviewed_ir_is_accepted(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    assert len(documents) == 1
    assert (
        pipeline_job(path)._gca_resource.pipeline_spec["pipelineInfo"]["name"]
        == documents[0]["pipelineInfo"]["name"]
    )


@pytest.mark.parametrize("path", REVIEWED, ids=lambda path: path.stem)
def test_delivered_ir_is_accepted_with_its_digests(path: Path, tmp_path: Path) -> None:
    delivered = with_digests(yaml.safe_load(path.read_text(encoding="utf-8")))
    file = tmp_path / "delivered.yaml"
    file.write_text(yaml.safe_dump(delivered, sort_keys=False), encoding="utf-8")
    sent = pipeline_job(file)._gca_resource.pipeline_spec["deploymentSpec"]["executors"]
    images = [executor["container"]["image"] for executor in sent.values() if "container" in executor]
    assert images
    assert all("@sha256:" in image for image in images)


def test_delivered_file_is_accepted_where_there_is_one() -> None:
    """What `penstock compile --lock` wrote on this machine."""
    files = sorted((ROOT / "delivered").glob("*.yaml"))
    if not files:
        pytest.skip("nothing is delivered here: `make images compile` writes delivered/")
    for file in files:
        job = pipeline_job(file)
        for executor in job._gca_resource.pipeline_spec["deploymentSpec"]["executors"].values():
            assert "@sha256:" in executor.get("container", {"image": "@sha256:"})["image"]


def test_parameters_of_the_taxi_app_are_accepted_and_arrive_as_given() -> None:
    sent = runtime(pipeline_job(TRAINING, TAXI))
    assert set(TAXI) <= set(sent)
    for name in ("app", "seed", "confidence", "promote", "min_rows", "until"):
        assert sent[name] == TAXI[name], name
    assert json.loads(json.dumps(dict(sent["label"]), default=dict)) == TAXI["label"]
    assert list(sent["cleaning"]) == TAXI["cleaning"]


def test_taxi_parameters_cover_every_required_one() -> None:
    """Vertex's client does not notice a missing one: the check is ours."""
    inputs = yaml.safe_load(TRAINING.read_text(encoding="utf-8"))["root"]["inputDefinitions"]["parameters"]
    required = {
        name for name, one in inputs.items() if not one.get("isOptional") and "defaultValue" not in one
    }
    assert required <= set(TAXI)
    assert set(TAXI) <= set(inputs)


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such"):
        pipeline_job(TRAINING, {**TAXI, "no_such": 1})


def test_second_document_is_refused(tmp_path: Path) -> None:
    """Why what is platform-specific is never in the reviewed IR."""
    file = tmp_path / "two.yaml"
    file.write_text(
        TRAINING.read_text(encoding="utf-8") + "---\nplatforms: {kubernetes: {}}\n", encoding="utf-8"
    )
    with pytest.raises(yaml.composer.ComposerError):
        pipeline_job(file)


def test_artifact_types_are_those_that_vertex_knows() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in REVIEWED)
    titles = {line.split(":", 1)[1].strip() for line in text.splitlines() if "schemaTitle:" in line}
    assert titles <= {
        f"system.{name}"
        for name in ("Artifact", "ClassificationMetrics", "Dataset", "HTML", "Markdown", "Metrics", "Model")
    }
