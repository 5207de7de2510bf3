"""`penstock schema`, in a project of its own, with the real steps as processes of their stacks."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from penstock import schema_command, schema_data
from penstock.errors import UserError
from penstock.project import Project, find_project

runner = CliRunner()
ROWS = [
    "city,age,churned",
    *(f"{'Rom' if i % 2 else 'Ulm'},{20 + i % 30},{i % 3 == 0}".lower() for i in range(120)),
]


@pytest.fixture
def churn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A checkout's code and environments with the apps of a team: one app without a schema."""
    root = find_project(Path(__file__).parent)
    monkeypatch.setenv("PENSTOCK_HOME", str(root.state))
    for name in ("components", "penstock", "images"):
        (tmp_path / name).symlink_to(root.root / name)
    app = tmp_path / "apps" / "churn"
    app.mkdir(parents=True)
    (app / "customers.csv").write_text("\n".join(ROWS) + "\n")
    settings = {"data": {"source": "customers.csv"}, "label": {"column": "churned"}}
    (app / "app.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def call(*arguments: str, code: int = 0) -> list[str]:
    """Run a command; UserErrors are raised."""
    result = runner.invoke(schema_command.app, arguments)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout.splitlines()


def test_drafts_a_schema_that_its_own_data_fit(churn: Project) -> None:
    told = call("infer", "--app", "churn")
    assert told == [
        "wrote apps/churn/schema.pbtxt: 3 columns of 120 rows, 0 comments to review",
        "Next, review it, then check everything:",
        "  penstock schema check --app churn",
    ]
    assert call("check", "--app", "churn") == [
        "apps/churn/schema.pbtxt: 3 features, nothing wrong",
        "120 rows of apps/churn/customers.csv fit it",
    ]


def test_data_that_do_not_fit_end_with_three(churn: Project) -> None:
    call("infer", "--app", "churn")
    other = churn.root / "other.csv"
    other.write_text("\n".join(ROWS).replace("ulm", "köln") + "\n")
    told = call("check", "apps/churn/schema.pbtxt", "--source", str(other), code=3)
    assert told == [
        "apps/churn/schema.pbtxt: 3 features, nothing wrong",
        "120 rows of other.csv, 1 finding:",
        "- feature 'city': 60 rows (50.0 %) hold values outside the domain, e.g. 'köln'",
    ]


def test_overwrites_a_schema_only_by_force(churn: Project) -> None:
    path = churn.apps / "churn" / "schema.pbtxt"
    path.write_text("reviewed")
    with pytest.raises(UserError) as caught:
        call("infer", "--app", "churn")
    assert str(caught.value) == (
        f"{path} is there already: --force overwrites it, --output FILE writes beside it"
    )
    assert path.read_text() == "reviewed"
    call("infer", "--app", "churn", "--force")
    assert 'name: "city"' in path.read_text()


def test_drafts_from_a_file_with_a_query(churn: Project) -> None:
    source = str(churn.apps / "churn" / "customers.csv")
    query = "select age, age > 30 as older from source"
    told = call("infer", "--source", source, "--query", query, "--output", "new.pbtxt")
    assert told[0] == "wrote new.pbtxt: 2 columns of 120 rows, 0 comments to review"
    assert "bool_domain" in Path("new.pbtxt").read_text()


def test_a_source_that_cannot_be_read_leaves_no_schema(churn: Project) -> None:
    with pytest.raises(UserError, match=r"gone\.csv"):
        call("infer", "--source", "gone.csv", "--output", "new.pbtxt")
    assert not Path("new.pbtxt").exists()
    assert list(churn.state.glob("schema-*")) == []


def test_a_schema_that_contradicts_itself_is_told(churn: Project) -> None:
    Path("bad.pbtxt").write_text('feature { name: "x" type: INT int_domain { min: 2 max: 1 } }')
    with pytest.raises(UserError) as caught:
        call("check", "bad.pbtxt")
    assert str(caught.value) == "bad.pbtxt:1: feature 'x': int_domain: min 2 is above max 1"


def test_nothing_to_look_at_is_told(churn: Project) -> None:
    with pytest.raises(UserError, match=r"^say which data: --app NAME or --source FILE$"):
        call("infer", "--output", "new.pbtxt")
    with pytest.raises(UserError, match=r"^say which schema: its file, or --app NAME$"):
        call("check")
    with pytest.raises(UserError, match=r"^say where the schema goes: --output FILE, or --app NAME$"):
        call("infer", "--source", "apps/churn/customers.csv")


def test_differences_are_told_by_feature(churn: Project) -> None:
    Path("old.pbtxt").write_text('feature { name: "x" type: INT } feature { name: "y" type: INT }')
    Path("new.pbtxt").write_text('feature { name: "x" type: FLOAT } feature { name: "z" type: BYTES }')
    assert call("diff", "old.pbtxt", "new.pbtxt") == [
        "~ x: type: INT is now FLOAT",
        "+ z: is new: BYTES, optional",
        "- y: is gone: it was INT, optional",
    ]
    assert call("diff", "old.pbtxt", "old.pbtxt") == ["the schemas say the same"]


def test_the_taxi_schema_lets_every_year_pass() -> None:
    project = find_project(Path(__file__).parent)
    for until in ("2015-01-01", "2016-01-01", ""):
        data = schema_data.data_of(project, "taxi", "", "", "", with_schema=True)
        data.selection["until"] = until
        assert data.schema_path is not None
        outcome = schema_data.hold_against(project, data, data.schema_path, lambda line: None)
        assert (outcome.verdict, outcome.reasons) == ("pass", [])
