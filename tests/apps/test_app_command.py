"""The commands app new, validate-app and compile, as people call them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from penstock.app_command import register
from penstock.app_config import load_app
from penstock.errors import UserError
from penstock.project import Project

SCHEMA = 'feature { name: "id" type: INT }\nfeature { name: "fee" type: FLOAT }\nfeature { name: "left?" type: BYTES }\n'
Call = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return an empty project that is the working directory, with a source in it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "images.yaml").write_text("steps: {}\n")
    (tmp_path / "customers.csv").write_text("id,fee,left?\n1,9.5,yes\n")
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def call() -> Call:
    """Return a function that calls the command line."""
    app = typer.Typer()
    register(app)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run


def error_of(result: Result) -> str:
    """Return the sentence that ended a command."""
    assert isinstance(result.exception, UserError)
    return str(result.exception)


def test_new_app_tells_the_next_two_commands(project: Project, call: Call) -> None:
    result = call("app", "new", "churn", "--source", "customers.csv", "--label", "left?")
    assert result.stdout == (
        "wrote apps/churn/app.yaml\n"
        "Next, draft the schema and review it, then check everything:\n"
        "  penstock schema infer --app churn\n"
        "  penstock validate-app churn\n"
    )


def test_new_app_is_valid_with_a_schema(project: Project, call: Call) -> None:
    call("app", "new", "churn", "--source", "customers.csv", "--label", "left?")
    (project.apps / "churn/schema.pbtxt").write_text(SCHEMA)
    arguments = load_app(project, "churn").arguments()
    assert arguments["source"] == str(project.root / "customers.csv")
    assert arguments["label"]["column"] == "left?"
    assert arguments["label"]["name"] == "left"


def test_new_app_copies_its_source_when_told(project: Project, call: Call) -> None:
    call("app", "new", "churn", "--source", "customers.csv", "--label", "left?", "--copy")
    assert (project.apps / "churn/data/customers.csv").read_text() == "id,fee,left?\n1,9.5,yes\n"
    assert "source: data/customers.csv\n" in (project.apps / "churn/app.yaml").read_text()


def test_new_app_overwrites_nothing(project: Project, call: Call) -> None:
    call("app", "new", "churn", "--source", "customers.csv", "--label", "left?")
    assert error_of(call("app", "new", "churn", "--source", "customers.csv", "--label", "id")) == (
        "apps/churn/app.yaml is there already: take another name, or edit that file"
    )


def test_new_app_refuses_a_source_that_is_not_there(project: Project, call: Call) -> None:
    assert error_of(call("app", "new", "churn", "--source", "custmers.csv", "--label", "x")) == (
        f"there is no file or folder '{project.root}/custmers.csv': put the path of the data after --source"
    )
    assert not project.apps.exists()


def test_new_app_refuses_a_label_that_the_header_does_not_name(project: Project, call: Call) -> None:
    assert error_of(call("app", "new", "churn", "--source", "customers.csv", "--label", "left")) == (
        "--label: 'left' is no column of customers.csv; did you mean 'left?'?"
    )


def test_new_app_reads_the_header_of_a_compressed_file_with_semicolons(project: Project, call: Call) -> None:
    with gzip.open(project.root / "c.csv.gz", "wt") as file:
        file.write('id;"left; or not"\n1;yes\n')
    assert call("app", "new", "churn", "--source", "c.csv.gz", "--label", "left; or not").exit_code == 0


def test_new_app_refuses_a_name_that_is_none(project: Project, call: Call) -> None:
    assert error_of(call("app", "new", "5 churn", "--source", "customers.csv", "--label", "x")) == (
        "'5 churn' is no name for an app: letters, digits, _ and -, starting with a letter, at most 63 characters"
    )


@pytest.mark.parametrize("source", ["gs://bucket/customers/*.parquet", "yes: no #1.txt", "data*/a.csv"])
def test_new_app_writes_any_source_as_yaml(project: Project, call: Call, source: str) -> None:
    (project.root / "yes: no #1.txt").write_text("left?\n")
    call("app", "new", "churn", "--source", source, "--label", "no")
    app = load_app(project, "churn", with_schema=False)
    expected = source if "://" in source else str(project.root / source)
    assert (app.config.data.source, app.config.label.column) == (expected, "no")


def test_validate_app_tells_what_would_run(project: Project, call: Call) -> None:
    call("app", "new", "churn", "--source", "customers.csv", "--label", "left?")
    (project.apps / "churn/schema.pbtxt").write_text(SCHEMA)
    assert call("validate-app", "churn", "--set", "seed=3").stdout == (
        "churn: app.yaml and schema are valid\n"
        f"  data        {project.root}/customers.csv\n"
        "  schema      3 columns; a breach: block\n"
        "  label       left = column left? (auto)\n"
        "  inputs      2: id, fee\n"
        "  excluded    left?\n"
        "  split       by entity (whole row): train 70%, validation 15%, test 15%\n"
        "  model       defaults\n"
        "  slices      none\n"
        "  thresholds  not worse than the champion (margin 0.01)\n"
        "  registers   churn, promoted when it passes\n"
    )


def test_validate_app_notes_inputs_that_the_label_is_made_of(project: Project, call: Call) -> None:
    folder = project.apps / "churn"
    folder.mkdir(parents=True)
    (folder / "app.yaml").write_text(
        'data: {source: ../../customers.csv}\nlabel: {name: big, sql: "fee > 9"}\n'
    )
    (folder / "schema.pbtxt").write_text(SCHEMA)
    assert call("validate-app", "churn").stdout.splitlines()[-1] == (
        "  note: label.sql uses fee, also an input: exclude what would not be known yet"
    )


def test_validate_app_tells_all_faults(project: Project, call: Call) -> None:
    call("app", "new", "churn", "--source", "customers.csv", "--label", "id")
    settings = project.apps / "churn/app.yaml"
    settings.write_text(settings.read_text().replace("column: id", "column: gone"))
    (project.apps / "churn/schema.pbtxt").write_text(SCHEMA)
    assert error_of(call("validate-app", "churn", "--set", "seed=3")) == (
        "apps/churn/app.yaml:15: label.column: 'gone' is no column of schema.pbtxt"
    )


def test_validate_app_without_a_name_checks_all_apps(project: Project, call: Call) -> None:
    for name in ("one", "two"):
        call("app", "new", name, "--source", "customers.csv", "--label", "fee")
        (project.apps / name / "schema.pbtxt").write_text(SCHEMA)
    (project.apps / "two/app.yaml").write_text("seed: 1\nlabel: {column: fee}\n")
    result = call("validate-app")
    assert result.stdout.startswith("one: app.yaml and schema are valid\n")
    assert error_of(result) == "apps/two/app.yaml:1: data: this key is required and not there"


@pytest.fixture
def pipelines(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of compiled pipelines of a project that has the real training pipeline."""
    folder = project.root / "pipelines"
    folder.mkdir()
    (folder / "training.py").write_text("# the installed one is compiled\n")
    return folder / "compiled"


def test_compile_writes_what_check_then_finds_current(pipelines: Path, call: Call) -> None:
    assert call("compile").stdout == "wrote pipelines/compiled/training.yaml\n"
    checked = call("compile", "--check")
    assert (checked.exit_code, checked.stdout) == (0, "1 generated file is current\n")


def test_compile_check_names_the_stale_file_and_the_target(pipelines: Path, call: Call) -> None:
    call("compile")
    with (pipelines / "training.yaml").open("a") as file:
        file.write("# by hand\n")
    checked = call("compile", "--check")
    assert (checked.exit_code, checked.stderr) == (
        1,
        "pipelines/compiled/training.yaml is stale\nrun `make compile`, review the difference and commit it\n",
    )


def test_compile_check_names_a_file_without_a_pipeline(pipelines: Path, call: Call) -> None:
    call("compile")
    (pipelines / "old.yaml").write_text("")
    assert error_of(call("compile", "--check")) == (
        "pipelines/compiled/ holds old.yaml, of which there is no pipeline: delete it"
    )


def test_new_app_goes_to_a_path_when_one_is_given(project: Project, call: Call, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "churn"
    assert call("app", "new", str(elsewhere), "--source", "customers.csv", "--label", "left?").exit_code == 0
    assert "name: churn\n" in (elsewhere / "app.yaml").read_text()
