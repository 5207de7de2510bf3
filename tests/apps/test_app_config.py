"""app.yaml: what is valid becomes parameters, what is not is told with line and key."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.app_config import App, find_app, load_app
from penstock.app_yaml import AppError
from penstock.errors import UserError
from penstock.project import Project, find_project

SCHEMA = """\
feature { name: "id" type: INT }
feature { name: "plan" type: BYTES }
feature { name: "monthly fee" type: FLOAT }
feature { name: "signup" type: INT }
feature { name: "importance" type: FLOAT }
feature { name: "churned" type: BYTES }
"""
MINIMAL = """\
data:
  source: customers.csv
label:
  column: churned
"""
WriteApp = Callable[..., Project]


@pytest.fixture
def write_app(tmp_path: Path) -> WriteApp:
    """Return a function that writes apps/churn of a project of its own."""

    def write(settings: str, schema: str | None = SCHEMA, source: bool = True) -> Project:
        folder = tmp_path / "apps" / "churn"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "app.yaml").write_text(settings)
        if schema is not None:
            (folder / "schema.pbtxt").write_text(schema)
        if source:
            (folder / "customers.csv").write_text("id\n1\n")
        return Project(tmp_path)

    return write


@pytest.fixture
def faults(write_app: WriteApp) -> Callable[..., list[str]]:
    """Return a function that gives the error lines of an app's settings."""

    def load(settings: str, schema: str | None = SCHEMA) -> list[str]:
        with pytest.raises(AppError) as caught:
            load_app(write_app(settings, schema), "churn").arguments()
        return str(caught.value).splitlines()

    return load


Faults = Callable[..., list[str]]


def churn(write_app: WriteApp, settings: str = MINIMAL) -> App:
    """Return the loaded app."""
    return load_app(write_app(settings), "churn")


# What is valid.


def test_minimal_app_gives_every_parameter_a_value(write_app: WriteApp, tmp_path: Path) -> None:
    arguments = churn(write_app).arguments()
    settings = arguments.pop("model_settings")
    assert settings["hidden_units"] == [64, 32]
    assert arguments == {
        "app": "churn",
        "challenge": False,
        "model_name": "churn",
        "source": str(tmp_path / "apps/churn/customers.csv"),
        "label": {"name": "churned", "column": "churned", "task": "auto", "positive": "", "max_missing": 0.0},
        "format": "auto",
        "query": "",
        "event_time": "",
        "event_time_unit": "s",
        "since": "",
        "until": "",
        "rows_per_shard": 250_000,
        "weight": "",
        "statistics_slices": [],
        "schema_skew": "block",
        "value_skew": "warn",
        "baseline": "champion",
        "min_rows": 100,
        "drift_thresholds": {"features": {}},
        "cleaning": [],
        "split": {"by": "entity", "key": [], "validation": 0.15, "test": 0.15, "salt": ""},
        "features": {"exclude": ["churned"]},
        "tuning_trials": 0,
        "tuning": {"timeout_s": 0.0},
        "slices": [],
        "resamples": 1000,
        "confidence": 0.95,
        "thresholds": {
            "metrics": {},
            "improvement": {"metric": "", "rule": "better", "margin": 0.0},
            "slices": {"metric": "", "min_rows": 100},
        },
        "explained_rows": 500,
        "explanation_background": 64,
        "explanation_examples": 4,
        "serving": {
            "start_s": 120.0,
            "cpu": 1.0,
            "memory_mb": 2000.0,
            "replayed_rows": 200,
            "tolerance": 1e-5,
            "rate": 50.0,
            "load_s": 10.0,
            "p99_ms": 0.0,
            "max_error_rate": 0.0,
        },
        "seed": 0,
        "promote": True,
    }


def test_taxi_is_valid_and_runs_on_the_trips_before_2015() -> None:
    arguments = load_app(find_project(Path(__file__).parent), "taxi").arguments()
    assert arguments["until"] == "2015-01-01"
    assert arguments["label"]["sql"] == "tips > 0.2 * fare"
    assert "tips" in arguments["features"]["exclude"]


def test_columns_with_a_role_are_no_inputs(write_app: WriteApp) -> None:
    app = churn(
        write_app,
        "data: {source: customers.csv, event_time: signup, weight: importance}\n"
        "label: {column: churned}\n"
        "features: {exclude: [id]}\n",
    )
    assert app.arguments()["features"] == {"exclude": ["churned", "id", "importance", "signup"]}
    assert app.inputs == ["plan", "monthly fee"]


def test_label_from_sql_excludes_no_column_by_itself(write_app: WriteApp) -> None:
    app = churn(write_app, "data: {source: customers.csv}\nlabel: {name: big, sql: '\"monthly fee\" > 9'}\n")
    assert app.arguments()["features"] == {"exclude": []}


def test_plain_words_stay_text_where_yaml_1_1_would_make_booleans_and_dates(write_app: WriteApp) -> None:
    arguments = churn(
        write_app,
        "data: {source: customers.csv, event_time: signup, until: 2015-01-01}\n"
        "label: {column: churned, positive: yes}\n"
        "validation: {schema_skew: off}\n",
    ).arguments()
    assert (arguments["label"]["positive"], arguments["schema_skew"], arguments["until"]) == (
        "yes",
        "off",
        "2015-01-01",
    )


def test_key_without_value_counts_as_not_written(write_app: WriteApp) -> None:
    app = churn(write_app, MINIMAL + "thresholds:\n  slices:\n    max_drop:\nseed:\n")
    assert app.arguments()["thresholds"]["slices"] == {"metric": "", "min_rows": 100}


def test_uri_is_passed_on_as_it_is(write_app: WriteApp) -> None:
    app = churn(write_app, "data: {source: 'gs://bucket/*.parquet'}\nlabel: {column: churned}\n")
    assert app.arguments()["source"] == "gs://bucket/*.parquet"


def test_table_is_passed_on_as_it_is(write_app: WriteApp) -> None:
    app = churn(write_app, "data: {source: bq://shop.raw.trips}\nlabel: {column: churned}\n")
    assert app.arguments()["source"] == "bq://shop.raw.trips"
    own = {"source": "bq://shop.raw.new customers@2026-01-31"}
    assert app.arguments(own, "batch_prediction")["source"] == own["source"]


def test_table_that_is_none_and_a_format_that_it_does_not_take(faults: Faults) -> None:
    text = """data: {source: bq://raw.trips, format: parquet}
label: {column: churned}
batch_prediction:
  source: bq://shop.raw.trips_*
"""
    assert faults(text) == [
        "apps/churn/app.yaml:1: data.source: the source 'bq://raw.trips' names no table: write bq://project.dataset.table",
        "apps/churn/app.yaml:1: data.format: format is 'parquet', and the source 'bq://raw.trips' is a BigQuery table: set "
        "format to auto",
        "apps/churn/app.yaml:4: batch_prediction.source: the source 'bq://shop.raw.trips_*' names several tables: make one "
        "of them, and write bq://project.dataset.table",
    ]


def test_settings_of_the_apps_own_model_go_through_under_custom(write_app: WriteApp) -> None:
    app = churn(write_app, MINIMAL + "model: {custom: {heads: 4, mask: [causal]}}\n")
    assert app.arguments()["model_settings"]["custom"] == {"heads": 4, "mask": ["causal"]}


def test_limits_that_are_not_set_do_not_reach_the_step(write_app: WriteApp) -> None:
    app = churn(write_app, MINIMAL + "thresholds: {metrics: {auc: {min: 0.7}}}\n")
    assert app.arguments()["thresholds"]["metrics"] == {"auc": {"min": 0.7}}


def test_label_may_be_a_slice(write_app: WriteApp) -> None:
    app = churn(
        write_app, MINIMAL.replace("churned", "churned\n  name: left") + "evaluation: {slices: [left]}\n"
    )
    assert app.arguments()["slices"] == ["left"]


def test_app_is_found_by_path(write_app: WriteApp, tmp_path: Path) -> None:
    project = write_app(MINIMAL)
    assert find_app(project, str(tmp_path / "apps" / "churn")) == tmp_path / "apps" / "churn"
    assert find_app(project, str(tmp_path / "apps" / "churn" / "app.yaml")) == tmp_path / "apps" / "churn"


def test_app_without_schema_loads_for_drafting_one(write_app: WriteApp) -> None:
    app = load_app(write_app(MINIMAL, schema=None), "churn", with_schema=False)
    assert app.schema is None
    assert app.schema_path.name == "schema.pbtxt"


def test_kind_of_a_feature_that_features_py_makes(write_app: WriteApp, tmp_path: Path) -> None:
    project = write_app(MINIMAL + "model: {kinds: {fee_per_day: numeric}}\n")
    (tmp_path / "apps/churn/features.py").write_text("def features(inputs): ...\n")
    assert load_app(project, "churn").arguments()["model_settings"]["kinds"] == {"fee_per_day": "numeric"}


# What is not: the file.


def test_unknown_app_tells_the_nearest(write_app: WriteApp) -> None:
    with pytest.raises(UserError) as caught:
        load_app(write_app(MINIMAL), "chrun")
    assert str(caught.value) == (
        "there is no app 'chrun'; did you mean 'churn'? (there are: churn; `penstock app new` makes one)"
    )


def test_app_yaml_missing(write_app: WriteApp, tmp_path: Path) -> None:
    project = write_app(MINIMAL)
    (tmp_path / "apps/churn/app.yaml").unlink()
    with pytest.raises(AppError) as caught:
        load_app(project, "churn")
    assert str(caught.value) == "apps/churn/app.yaml: there is no such file"


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_empty_file(faults: Faults, text: str) -> None:
    assert faults(text) == [
        "apps/churn/app.yaml: the file is empty; `penstock app new` writes one to start from"
    ]


def test_yaml_syntax_error_has_line_and_column(faults: Faults) -> None:
    assert faults("data:\n  source: a: b\n") == [
        "apps/churn/app.yaml:2: this is no YAML: mapping values are not allowed here at column 12"
    ]


def test_no_mapping_at_the_top(faults: Faults) -> None:
    assert faults("- data\n") == [
        "apps/churn/app.yaml:1: expected sections (`data:`, `label:`, ...) at the top of the file"
    ]


def test_not_utf_8(write_app: WriteApp, tmp_path: Path) -> None:
    project = write_app(MINIMAL)
    (tmp_path / "apps/churn/app.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(AppError) as caught:
        load_app(project, "churn")
    assert str(caught.value) == "apps/churn/app.yaml: byte 9 is not UTF-8: save the file as UTF-8"


def test_duplicate_key_tells_both_lines(faults: Faults) -> None:
    assert faults(MINIMAL + "seed: 1\nseed: 2\n") == [
        "apps/churn/app.yaml:6: seed: the key is there twice, first on line 5"
    ]


def test_custom_tag(faults: Faults) -> None:
    assert faults(MINIMAL + "seed: !env SEED\n") == [
        "apps/churn/app.yaml:5: seed: the tag !env has no meaning here: write the plain value"
    ]


# What is not: keys and types.


def test_all_faults_come_at_once_in_the_order_of_the_lines(faults: Faults) -> None:
    text = (
        "data:\n  source: customers.csv\n  rows_per_shard: many\n  fromat: csv\n"
        "label:\n  column: chruned\n"
        "evaluation:\n  slices: [plan, fee]\n  confidence: 95\n"
        "promote: 1\n"
    )
    assert faults(text) == [
        "apps/churn/app.yaml:3: data.rows_per_shard: 'many' does not fit, expected a whole number",
        "apps/churn/app.yaml:4: data.fromat: data has no key 'fromat'; did you mean 'format'?",
        "apps/churn/app.yaml:6: label.column: 'chruned' is no column of schema.pbtxt; did you mean 'churned'?",
        "apps/churn/app.yaml:8: evaluation.slices[1]: 'fee' is no column of schema.pbtxt; did you mean 'monthly fee'?",
        "apps/churn/app.yaml:9: evaluation.confidence: 95 does not fit, expected less than 1",
        "apps/churn/app.yaml:10: promote: 1 does not fit, expected true or false",
    ]


def test_missing_sections(faults: Faults) -> None:
    assert faults("seed: 1\n") == [
        "apps/churn/app.yaml:1: data: this key is required and not there",
        "apps/churn/app.yaml:1: label: this key is required and not there",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("seed: 1.5", "seed: 1.5 does not fit, expected a whole number"),
        ("seed: true", "seed: True does not fit, expected a whole number"),
        ("seed: -1", "seed: -1 does not fit, expected 0 or more"),
        ("description: 12", "description: 12 does not fit, expected text; put it in quotes"),
        ("split: entity", "split: 'entity' does not fit, expected a section of keys"),
        ("features: {exclude: id}", "features.exclude: 'id' does not fit, expected a list"),
        (
            "model_name: my model",
            "model_name: 'my model' does not fit, expected a name of letters, digits, _ and -, starting with a "
            "letter, at most 63 characters",
        ),
        ("name: chrun", "name: 'chrun' is not the name of the app's folder, 'churn': rename one"),
        (
            "validation: {schema_skew: blok}",
            "validation.schema_skew: 'blok' is not allowed, expected 'off', 'warn' or 'block'; did you mean 'block'?",
        ),
        ("validation: {min_rows: 0}", "validation.min_rows: 0 does not fit, expected 1 or more"),
        ("cleanning: []", "cleanning: app.yaml has no key 'cleanning'; did you mean 'cleaning'?"),
        (
            "cleaning: [{drop: id < 0}]",
            "cleaning[0].because: this key is required and not there",
        ),
        (
            "cleaning: [{drop: id < 0, set: plan, because: x}]",
            "cleaning[0]: expected either `drop`, or `set` with `sql`",
        ),
        ("evaluation: {slices: [[plan, plan]]}", "evaluation.slices[0]: ['plan', 'plan'] does not fit: expected "
         "each column of a cross once"),
        ("evaluation: {slices: [3]}", "evaluation.slices[0]: 3 does not fit: expected a column, or a list of columns "
         "for a cross"),
        (
            "model: {epoch: 3}",
            "model.epoch: model has no key 'epoch'; did you mean 'epochs'?; settings of the app's own model.py go "
            "under model.custom",
        ),
        ("model: {epochs: 0}", "model.epochs: 0, expected a whole number from 1 to 10000"),
        ("model: {hidden_units: 64}", "model.hidden_units: 64, expected a list of whole numbers from 1 to 8192"),
        (
            "model: {kinds: {plan: categoric}}",
            "model.kinds.plan: 'categoric' is no kind: allowed are numeric, categorical, text, drop; did you mean "
            "'categorical'?",
        ),
        ("tuning: {trials: -1}", "tuning.trials: -1, expected a whole number from 0 to 10000"),
    ],
)  # fmt: skip
def test_wrong_value(faults: Faults, line: str, sentence: str) -> None:
    assert faults(MINIMAL + line + "\n") == [f"apps/churn/app.yaml:5: {sentence}"]


# What is not: columns, windows, labels, splits, thresholds.


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("statistics: {slices: [paln]}", "statistics.slices[0]"),
        ("split: {key: [paln]}", "split.key[0]"),
        ("features: {exclude: [id, paln]}", "features.exclude[1]"),
        (
            "validation: {drift_thresholds: {features: {paln: 0.1}}}",
            "validation.drift_thresholds.features.paln",
        ),
        ("evaluation: {slices: [[plan, paln]]}", "evaluation.slices[0][1]"),
        ("model: {kinds: {paln: text}}", "model.kinds.paln"),
        ("cleaning: [{set: paln, sql: '1', because: x}]", "cleaning[0].set"),
    ],
)
def test_unknown_column(faults: Faults, line: str, key: str) -> None:
    assert faults(MINIMAL + line + "\n") == [
        f"apps/churn/app.yaml:5: {key}: 'paln' is no column of schema.pbtxt; did you mean 'plan'?"
    ]


@pytest.mark.parametrize("role", ["event_time", "weight"])
def test_unknown_column_with_a_role(faults: Faults, role: str) -> None:
    assert faults(f"data:\n  source: customers.csv\n  {role}: sigup\nlabel: {{column: churned}}\n") == [
        f"apps/churn/app.yaml:3: data.{role}: 'sigup' is no column of schema.pbtxt; did you mean 'signup'?"
    ]


def test_window_needs_an_event_time(faults: Faults) -> None:
    assert faults("data: {source: customers.csv, since: 2015-01-01}\nlabel: {column: churned}\n") == [
        "apps/churn/app.yaml:1: data.since: a window needs data.event_time, the column with the time of the event"
    ]


def test_window_that_ends_before_it_begins(faults: Faults) -> None:
    text = "data: {source: customers.csv, event_time: signup, since: 2016-01-01, until: 2015-01-01}\nlabel: {column: churned}\n"
    assert faults(text) == [
        "apps/churn/app.yaml:1: data.until: '2015-01-01' is not after data.since '2016-01-01': the window is empty"
    ]


def test_window_in_words(faults: Faults) -> None:
    assert faults(
        "data: {source: customers.csv, event_time: signup, until: May}\nlabel: {column: churned}\n"
    ) == [
        "apps/churn/app.yaml:1: data.until: 'May' does not fit: expected a date or time in ISO 8601, such as "
        "2015-01-01 or 2015-01-01T06:00:00Z"
    ]


def test_label_with_column_and_sql(faults: Faults) -> None:
    assert faults("data: {source: customers.csv}\nlabel: {name: y, column: churned, sql: 'true'}\n") == [
        "apps/churn/app.yaml:2: label: expected either `column` or `sql`, both are there"
    ]


def test_label_from_sql_needs_a_name(faults: Faults) -> None:
    assert faults("data: {source: customers.csv}\nlabel: {sql: id > 3}\n") == [
        "apps/churn/app.yaml:2: label: a label from `sql` needs a `name`"
    ]


def test_label_named_like_a_column(faults: Faults) -> None:
    assert faults("data: {source: customers.csv}\nlabel: {name: plan, sql: id > 3}\n") == [
        "apps/churn/app.yaml:2: label.name: 'plan' is a column of schema.pbtxt already: give the label another name"
    ]


def test_positive_class_of_a_regression(faults: Faults) -> None:
    assert faults(
        "data: {source: customers.csv}\nlabel: {column: id, task: regression, positive: '1'}\n"
    ) == [
        "apps/churn/app.yaml:2: label.positive: only a binary label has a positive class, the task is 'regression'"
    ]


def test_split_that_leaves_nothing(faults: Faults) -> None:
    assert faults(MINIMAL + "split: {validation: 0.5, test: 0.5}\n") == [
        "apps/churn/app.yaml:5: split: validation 0.5 and test 0.5 leave no rows to train on: their sum must be "
        "below 1"
    ]


def test_split_by_time_without_an_event_time(faults: Faults) -> None:
    assert faults(MINIMAL + "split: {by: time}\n") == [
        "apps/churn/app.yaml:5: split.by: a split by time needs data.event_time"
    ]


def test_everything_excluded(faults: Faults) -> None:
    assert faults(MINIMAL + "features: {exclude: [id, plan, monthly fee, signup, importance]}\n") == [
        "apps/churn/app.yaml:5: features.exclude: every column is excluded: nothing is left to learn from"
    ]


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ("{auc: {min: 1.5}}", "thresholds.metrics.auc.min: 1.5 is impossible: auc is from 0 to 1"),
        ("{log_loss: {max: -1}}", "thresholds.metrics.log_loss.max: -1 is impossible: log_loss is 0 or more"),
        (
            "{auc: {min: 0.9, max: 0.8}}",
            "thresholds.metrics.auc: min 0.9 is above max 0.8: no model can pass",
        ),
        ("{auc: {}}", "thresholds.metrics.auc: expected `min`, `max` or both"),
        ("{auc: 0.7}", "thresholds.metrics.auc: 0.7 does not fit, expected a section of keys"),
        ("{auc: {min: high}}", "thresholds.metrics.auc.min: 'high' does not fit, expected a number"),
        ("{acuracy: {min: 0.7}}", "thresholds.metrics.acuracy: 'acuracy' is no metric of any model; did you mean "
         "'accuracy'?"),
    ],
)  # fmt: skip
def test_impossible_threshold(faults: Faults, limits: str, sentence: str) -> None:
    assert faults(MINIMAL + f"thresholds: {{metrics: {limits}}}\n") == [f"apps/churn/app.yaml:5: {sentence}"]


def test_metric_of_another_task(faults: Faults) -> None:
    text = "data: {source: customers.csv}\nlabel: {column: id, task: regression}\nthresholds: {metrics: {auc: {min: 0.7}}}\n"
    assert faults(text) == [
        "apps/churn/app.yaml:3: thresholds.metrics.auc: 'auc' is no metric of a regression model; allowed are "
        "rmse, mae, r2"
    ]


def test_local_source_that_is_not_there(write_app: WriteApp, tmp_path: Path) -> None:
    app = load_app(write_app(MINIMAL, source=False), "churn")
    with pytest.raises(AppError) as caught:
        app.arguments()
    assert str(caught.value) == (
        f"apps/churn/app.yaml:2: data.source: there is no file or folder '{tmp_path}/apps/churn/customers.csv'"
    )


# What is not: the schema.


def test_schema_missing(faults: Faults) -> None:
    assert faults(MINIMAL, schema=None) == [
        "apps/churn/schema.pbtxt: there is no schema: draft one with `penstock schema infer --app churn`, then "
        "review it"
    ]


def test_schema_missing_hides_no_other_fault(faults: Faults) -> None:
    assert faults(MINIMAL + "sed: 1\n", schema=None) == [
        "apps/churn/app.yaml:5: sed: app.yaml has no key 'sed'; did you mean 'seed'?",
        "apps/churn/schema.pbtxt: there is no schema: draft one with `penstock schema infer --app churn`, then "
        "review it",
    ]


def test_broken_schema_has_line_and_column(faults: Faults) -> None:
    assert faults(MINIMAL, schema='feature { name: "id" type: INT }\nfeature { nam: "plan" }\n') == [
        'apps/churn/schema.pbtxt:2:11: this is no TFDV schema: Message type "tensorflow.metadata.v0.Feature" has '
        'no field named "nam".'
    ]


def test_schema_without_features(faults: Faults) -> None:
    assert faults(MINIMAL, schema="# empty\n") == [
        "apps/churn/schema.pbtxt: the schema names no feature: draft one with `penstock schema infer --app churn`"
    ]


def test_schema_that_names_a_feature_twice(faults: Faults) -> None:
    assert faults(MINIMAL, schema=SCHEMA + 'feature { name: "plan" type: INT }\n') == [
        "apps/churn/schema.pbtxt: the schema names a feature twice: 'plan'"
    ]
