"""`--set key=value`: parsed by the parameter's type, validated with the whole app."""

from pathlib import Path

import pytest

from penstock.app_config import App, load_app
from penstock.app_yaml import AppError
from penstock.project import Project

SCHEMA = 'feature { name: "plan" type: BYTES }\nfeature { name: "signup" type: INT }\nfeature { name: "y" type: INT }\n'
SETTINGS = "data: {source: customers.csv, event_time: signup}\nlabel: {column: y}\ntuning: {trials: 3, timeout_s: 60}\n"


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Return an app with a schema and a source."""
    folder = tmp_path / "apps" / "churn"
    folder.mkdir(parents=True)
    (folder / "app.yaml").write_text(SETTINGS)
    (folder / "schema.pbtxt").write_text(SCHEMA)
    (folder / "customers.csv").write_text("plan,signup,y\n")
    return load_app(Project(tmp_path), "churn")


def faults(app: App, *overrides: str) -> list[str]:
    """Return the error lines of the overrides."""
    with pytest.raises(AppError) as caught:
        app.arguments(overrides)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("override", "parameter", "value"),
    [
        ("until=2016-01-01", "until", "2016-01-01"),
        ("query=SELECT * FROM source WHERE y = 1", "query", "SELECT * FROM source WHERE y = 1"),
        ("schema_skew=off", "schema_skew", "off"),
        ("tuning_trials=10", "tuning_trials", 10),
        ("confidence=0.9", "confidence", 0.9),
        ("promote=false", "promote", False),
        ("slices=[plan, [plan, signup]]", "slices", ["plan", ["plan", "signup"]]),
        ('drift_thresholds={"numeric": 0.2}', "drift_thresholds", {"numeric": 0.2, "features": {}}),
        ("tuning={timeout_s: 5}", "tuning", {"timeout_s": 5}),
        ("model_name=", "model_name", "churn"),
    ],
)
def test_value_has_the_type_of_its_parameter(app: App, override: str, parameter: str, value: object) -> None:
    assert app.arguments([override])[parameter] == value


def test_section_of_tuning_keeps_the_trials(app: App) -> None:
    assert app.arguments(["tuning={timeout_s: 5}"])["tuning_trials"] == 3
    assert app.arguments(["tuning_trials=7", "tuning={timeout_s: 5}"])["tuning_trials"] == 7


def test_last_of_two_overrides_wins(app: App) -> None:
    assert app.arguments(["seed=1", "seed=2"])["seed"] == 2


def test_overrides_by_key_keep_their_types(app: App) -> None:
    assert app.arguments({"seed": 5, "slices": ["plan"]})["slices"] == ["plan"]


def test_local_source_is_read_from_the_working_directory(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.csv").write_text("y\n")
    monkeypatch.chdir(tmp_path)
    assert app.arguments(["source=other.csv"])["source"] == str(tmp_path / "other.csv")


def test_app_itself_stays_as_it_is(app: App) -> None:
    app.arguments(["seed=1"])
    assert app.arguments()["seed"] == 0


def test_unknown_parameter_tells_the_nearest(app: App) -> None:
    assert faults(app, "untill=2016-01-01") == [
        "--set untill=2016-01-01: 'untill' is no parameter of the training pipeline; did you mean 'until'?"
    ]


def test_wrong_types_all_at_once(app: App) -> None:
    assert faults(app, "seed=one", "promote=2", "slices=plan", "split=[", "tuning_trials") == [
        "--set seed=one: 'one' does not fit, expected a whole number",
        "--set promote=2: '2' does not fit, expected true or false",
        "--set slices=plan: 'plan' does not fit, expected a list such as [a, b]",
        "--set split=[: '[' does not fit, expected a mapping such as {key: value}",
        "--set tuning_trials: expected key=value",
    ]


def test_parameter_of_the_runner_tells_where_it_comes_from(app: App) -> None:
    assert faults(app, "force=true") == [
        "--set force=true: 'force' cannot be set, it comes from the option --force"
    ]


def test_override_is_validated_with_the_app(app: App) -> None:
    assert faults(app, "slices=[plam]", "thresholds={metrics: {auc: {min: 2}}}") == [
        "--set slices=[plam]: evaluation.slices[0]: 'plam' is no column of schema.pbtxt; did you mean 'plan'?",
        "--set thresholds={metrics: {auc: {min: 2}}}: thresholds.metrics.auc.min: 2 is impossible: auc is from 0 to 1",
    ]
