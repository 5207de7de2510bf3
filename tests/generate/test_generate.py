"""What is generated says what the specs say."""

import json
from pathlib import Path

import pytest
from kfp import components

from penstock.environment_models import Environment
from penstock.errors import UserError
from penstock.generate.__main__ import STEPS as TABLE_OF_STEPS
from penstock.generate.__main__ import between_markers
from penstock.generate.app_yaml_reference import app_yaml_reference
from penstock.generate.component_yaml import component_yaml
from penstock.generate.environment_yaml_reference import environment_yaml_reference
from penstock.generate.image_sizes import sizes_table
from penstock.generate.model_tables import sections_of
from penstock.generate.step_calls import calls, pipeline_order
from penstock.generate.step_readme import step_readme, steps_table
from penstock.generate.steps import Step, read_step, read_steps, step_names
from penstock.project import Project, find_project

PROJECT = find_project(Path(__file__).parent)
STEPS = step_names(PROJECT)
SPEC = '''\
from kfp import dsl


@dsl.container_component
def weigh_data(
    dataset: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    heaviest: dsl.OutputPath(float),
    scale: str,
    limit: float = 0.5,
    columns: list = [],
):
    """Weigh a dataset.

    Nothing is lost.

    Args:
        dataset: Folder of shards, self-
            contained.
        report: What was weighed | by whom.
        heaviest: Weight of the heaviest
            row.
        scale: kg or t.
        limit: More than this warns.
        columns: What is weighed.
    """
    return dsl.ContainerSpec(image="penstock/weigh_data:unpinned")
'''


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """Return a step that exists nowhere else."""
    (tmp_path / "spec.py").write_text(SPEC)
    return read_step(tmp_path / "spec.py", "weigh_data", "core")


def section(text: str, begin: str, end: str) -> str:
    """Return what stands between two headings."""
    return text.partition(begin)[2].partition(end)[0].strip()


def test_outputs_stand_under_outputs(step: Step, tmp_path: Path) -> None:
    readme = step_readme(step, tmp_path, {})
    assert section(readme, "## Outputs", "## Run it alone") == (
        "| Artifact | Type | What it is |\n|---|---|---|\n"
        "| `report` | HTML | What was weighed \\| by whom. |\n\n"
        "| Parameter | Type | What it is |\n|---|---|---|\n"
        "| `heaviest` | float | Weight of the heaviest row. |"
    )


def test_inputs_have_a_default_exactly_when_they_need_no_value(step: Step, tmp_path: Path) -> None:
    readme = step_readme(step, tmp_path, {})
    assert section(readme, "## Inputs", "## Outputs") == (
        "| Artifact | Type | What it is |\n|---|---|---|\n"
        "| `dataset` | Dataset | Folder of shards, self-contained. |\n\n"
        "| Parameter | Type | Default | What it is |\n|---|---|---|---|\n"
        "| `scale` | str | required | kg or t. |\n"
        "| `limit` | float | `0.5` | More than this warns. |\n"
        "| `columns` | list | `[]` | What is weighed. |"
    )


def test_call_shows_where_inputs_come_from_in_the_order_of_the_spec(step: Step, tmp_path: Path) -> None:
    sources = {"limit": "limit", "scale": '"kg"', "dataset": 'extract_data_task.outputs["dataset"]'}
    assert section(step_readme(step, tmp_path, sources), "## In a pipeline", "Or without") == (
        "```python\n"
        "from penstock.components.weigh_data.spec import weigh_data\n\n"
        "weigh_data_task = weigh_data(\n"
        '    dataset=extract_data_task.outputs["dataset"],\n'
        '    scale="kg",\n'
        "    limit=limit,\n"
        ")\n```"
    )


def test_notes_of_a_person_are_taken_in(step: Step, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("## When it blocks\n\nNever.\n")
    assert "\n## When it blocks\n\nNever.\n\n## Run it alone\n" in step_readme(step, tmp_path, {})


def test_second_paragraph_is_in_the_readme_but_not_in_the_table(step: Step, tmp_path: Path) -> None:
    assert "\nWeigh a dataset.\n\nNothing is lost.\n" in step_readme(step, tmp_path, {})
    assert steps_table([step], []) == (
        "| Step | What it does | Stack |\n|---|---|---|\n"
        "| [weigh_data](components/weigh_data/README.md) | Weigh a dataset. | core |"
    )


@pytest.mark.parametrize("name", STEPS)
def test_component_yaml_is_loadable_and_has_the_inputs_and_outputs_of_the_spec(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "component.yaml").write_text(component_yaml(name))
    loaded = components.load_component_from_file(str(tmp_path / "component.yaml")).component_spec
    declared = next(step for step in read_steps(PROJECT) if step.name == name)
    inputs = {port.name for port in (*declared.inputs, *declared.parameters)}
    outputs = {port.name for port in (*declared.output_artifacts, *declared.output_parameters)}
    assert ((loaded.inputs or {}).keys() ^ inputs, (loaded.outputs or {}).keys() ^ outputs) == (set(), set())


@pytest.mark.parametrize("name", STEPS)
def test_defaults_of_the_readme_are_those_that_kfp_reads(name: str, tmp_path: Path) -> None:
    (tmp_path / "component.yaml").write_text(component_yaml(name))
    loaded = components.load_component_from_file(str(tmp_path / "component.yaml")).component_spec
    declared = next(step for step in read_steps(PROJECT) if step.name == name)
    shown = {
        port.name: (port.required, port.default) for port in declared.parameters if port.name != "status"
    }
    read = {
        port: (not spec.optional, spec.default)
        for port, spec in (loaded.inputs or {}).items()
        if port in shown
    }
    assert {key: (shown.get(key), read.get(key)) for key in shown if shown[key] != read.get(key)} == {}


def test_every_step_of_a_pipeline_is_shown_with_its_call() -> None:
    assert set(calls(PROJECT)) ^ set(pipeline_order(PROJECT)) == set()


def test_call_of_validate_data_names_the_steps_before_it() -> None:
    call = calls(PROJECT)["validate_data"]
    assert call["statistics"] == 'compute_statistics_task.outputs["statistics"]'
    assert call["baseline_name"] == 'resolve_champion_task.outputs["baseline_name"]'
    assert call["schema"] == "schema_task.output"
    assert call["min_rows"] == "min_rows"


def test_order_begins_with_the_source_and_ends_with_the_exit_handler() -> None:
    order = pipeline_order(PROJECT)
    assert (order[0], order[-1]) == ("inspect_source", "notify")
    assert order.index("extract_data") < order.index("train_model") < order.index("register_model")


def test_reference_names_every_section_and_the_model_settings() -> None:
    reference = app_yaml_reference()
    for heading in ("data", "label", "split", "model", "tuning", "thresholds.metrics.<name>"):
        assert f"\n## {heading}\n" in reference
    assert "| `learning_rate` | number, 1e-07 to 10 | `0.001` |" in reference


def test_reference_of_environments_has_a_row_with_a_meaning_for_every_key() -> None:
    reference = environment_yaml_reference()
    keys = {"top": Environment, **sections_of(Environment)}
    keys |= {f"serving.{name}": model for name, model in sections_of(keys["serving"]).items()}
    wanted = {(name, key) for name, model in keys.items() for key in model.model_fields}
    wanted -= {("top", "name"), *(("top", name) for name in keys)}
    shown = set()
    for part in reference.split("\n## ")[2:]:  # the head, what each backend needs
        name = part.split("\n")[0].removesuffix(" (a list)").replace("At the top", "top")
        rows = [line.split(" | ") for line in part.splitlines() if line.startswith("| `")]
        shown |= {(name, row[0].strip("|` ")) for row in rows if row[-1].strip("| ")}
    assert shown ^ wanted == set()


def test_reference_of_environments_says_what_a_backend_needs() -> None:
    assert (
        "| `kfp` | `host`, `pipeline_root`, `images`, `registry_uri` | `minio://`, `s3://`, `gs://` |"
        in environment_yaml_reference()
    )


def test_table_goes_between_the_markers() -> None:
    begin, end = TABLE_OF_STEPS
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert between_markers(text, TABLE_OF_STEPS, "new") == f"before\n{begin}\nnew\n{end}\nafter\n"


def test_readme_without_markers_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        between_markers("# x\n", TABLE_OF_STEPS, "new")
    assert str(caught.value) == (
        "README.md has no place for a generated table: put <!-- steps: generated by `make generate` --> and "
        "<!-- end of steps --> on lines of their own"
    )


def test_image_sizes_name_the_largest_of_each_stack_and_its_budget(tmp_path: Path) -> None:
    write = {"stack": "small", "stack_bytes": 240_000_000, "own_bytes": 400_000, "budget_mb": 300}
    results = tmp_path / "benchmarks" / "results" / "image_sizes.json"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps({"images": {"one": write, "two": {**write, "own_bytes": 7_000_000}}}))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "images.yaml").write_text("stacks: {small: {budget_mb: 300}}\nsteps: {}\n")
    assert sizes_table(Project(tmp_path)).splitlines()[2:] == ["| small | one, two | 247 | 300 |"]


def test_image_sizes_that_nobody_measured_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `penstock images sizes --write`"):
        sizes_table(Project(tmp_path))


@pytest.mark.parametrize("name", STEPS)
def test_call_alone_names_the_required_inputs_and_all_outputs(name: str) -> None:
    declared = next(step for step in read_steps(PROJECT) if step.name == name)
    readme = step_readme(declared, PROJECT.root / "components" / name, {})
    request = json.loads(readme.partition("--executor_input '")[2].partition("'\n```")[0])
    given = request["inputs"]["parameterValues"].keys() | request["inputs"]["artifacts"].keys()
    wanted = {port.name for port in (*declared.inputs, *declared.parameters) if port.required} - {"status"}
    outputs = {port.name for port in declared.output_artifacts}
    assert (given ^ wanted, request["outputs"]["artifacts"].keys() ^ outputs) == (set(), set())
