"""The sections of app.yaml as typed models: keys, types, ranges, defaults and what each key means.

docs/app_yaml.md is generated from here. What one value alone cannot tell (is it a column? do two keys fit
together?) is checked in app_checks.py.
"""

from typing import Any, Literal

from pydantic import Field

from penstock.app_types import Column, Name, Section, Share, Slice, Start, Time


class Data(Section):
    """Where the rows come from."""

    source: str = Field(
        min_length=1,
        description="File, glob or directory of CSV, JSON Lines or Parquet files: relative to the app's folder, "
        "absolute, or any fsspec URI (`gs://`, `s3://`, ...). Or a BigQuery table: `bq://project.dataset.table`.",
    )
    format: Literal["auto", "csv", "jsonl", "parquet"] = Field(
        default="auto",
        description="Format of the files; `auto` goes by file name, and is what a table takes.",
    )
    query: str = Field(
        default="", description="SQL (DuckDB) over the table `source`; empty reads all columns and rows."
    )
    event_time: str = Field(
        default="", description="Column with the time of the event; never an input of the model."
    )
    event_time_unit: Literal["s", "ms", "us", "ns"] = Field(
        default="s", description="Unit of a numeric event time, counted from 1970 in UTC."
    )
    since: Start = Field(
        default="",
        description="Start of the window of event time (included): a date or time, or a duration before `until` "
        "such as `P30D`, ISO 8601; empty is open.",
    )
    until: Time = Field(
        default="",
        description="End of the window of event time (excluded): a date or time in ISO 8601; empty is open.",
    )
    rows_per_shard: int = Field(
        default=250_000,
        ge=1000,
        le=10_000_000,
        description="Rows in each Parquet shard; also bounds the memory.",
    )
    weight: str = Field(
        default="", description="Column with the weight of each row; never an input of the model."
    )


class Statistics(Section):
    """What is measured on the data before it is judged."""

    slices: list[Column] = Field(
        default=[], description="Columns by whose values the statistics are computed as well."
    )


class DriftThresholds(Section):
    """From which distance on a feature counts as drifted, 0 to 1."""

    categorical: Share | None = Field(
        default=None, description="L-infinity distance of categorical features; not set: validate_data's own."
    )
    numeric: Share | None = Field(
        default=None,
        description="Jensen-Shannon divergence of numeric features; not set: validate_data's own.",
    )
    features: dict[str, Share] = Field(default={}, description="Thresholds of single features, by name.")


class Validation(Section):
    """How the data are judged against the schema and against a baseline."""

    schema_skew: Literal["off", "warn", "block"] = Field(
        default="block", description="What a breach of the schema leads to."
    )
    value_skew: Literal["off", "warn"] = Field(
        default="warn", description="Whether changed distributions are measured; they never block training."
    )
    baseline: Literal["champion", "previous_span"] = Field(
        default="champion", description="What the distributions are compared with."
    )
    min_rows: int = Field(default=100, ge=1, description="Fewer rows than this are a breach of the schema.")
    drift_thresholds: DriftThresholds = Field(
        default=DriftThresholds(), description="When a feature counts as drifted."
    )


class Label(Section):
    """What the model learns to predict: `column`, or `sql`."""

    name: Name | None = Field(default=None, description="Name of the label; default: that of the column.")
    column: str = Field(default="", description="Column that holds the label; never an input of the model.")
    sql: str = Field(
        default="",
        description="SQL expression (DuckDB) over the columns. Exclude what it is made of, or it leaks.",
    )
    task: Literal["auto", "binary", "multiclass", "regression"] = Field(
        default="auto", description="Kind of the label; `auto` decides by its values."
    )
    positive: str = Field(
        default="", description="The class whose probability is the score (binary); empty picks one."
    )
    max_missing: Share = Field(
        default=0.0,
        description="Share of rows whose label may be missing: they are dropped; more than that blocks.",
    )


class CleaningRule(Section):
    """One rule, applied in the order of the list: `drop`, or `set` with `sql`."""

    drop: str = Field(default="", description="SQL condition: rows for which it is true are dropped.")
    set: str = Field(default="", description="Column that gets a new value.")
    sql: str = Field(default="", description="SQL expression for the column's new value.")
    because: str = Field(min_length=1, description="Why; it stands in the report.")


class Split(Section):
    """Which rows train, which stop the training, which judge the model."""

    by: Literal["entity", "time"] = Field(
        default="entity",
        description="By hash of `key`, so that no entity is on two sides; or by time: the newest rows judge.",
    )
    key: list[Column] = Field(default=[], description="Columns that name an entity; [] takes the whole row.")
    validation: float = Field(
        default=0.15, gt=0, lt=1, description="Share of the rows that decide when training stops."
    )
    test: float = Field(default=0.15, gt=0, lt=1, description="Share of the rows that judge the model.")
    salt: str = Field(default="", description="Another text gives another split.")


class Features(Section):
    """What the model sees: all columns of the schema but those named here."""

    exclude: list[Column] = Field(
        default=[],
        description="Columns that are no inputs. The label's column, `event_time` and `weight` are excluded anyhow.",
    )


class Evaluation(Section):
    """How the model is measured on the test rows."""

    slices: list[Slice] = Field(
        default=[],
        description="Columns, or lists of columns (a cross), by whose values the metrics are computed as well.",
    )
    resamples: int = Field(
        default=1000, ge=100, le=100_000, description="Bootstrap resamples for the intervals."
    )
    confidence: float = Field(default=0.95, ge=0.5, lt=1, description="Level of the confidence intervals.")


class Limits(Section):
    """Bounds of one metric; a model outside them is blocked."""

    min: float | None = Field(default=None, description="Smallest value that passes.")
    max: float | None = Field(default=None, description="Largest value that passes.")


class Improvement(Section):
    """Comparison with the champion on the same rows (paired bootstrap)."""

    metric: str = Field(
        default="", description="Metric compared; empty takes the primary one (auc, log_loss or rmse)."
    )
    rule: Literal["better", "not_worse", "off"] = Field(
        default="better",
        description="`better`: the whole interval lies beyond the margin; `not_worse`: it lies above -margin.",
    )
    margin: float = Field(default=0.0, ge=0, description="Margin, in units of the metric.")


class SliceThresholds(Section):
    """Rules for the slices of `evaluation.slices`."""

    metric: str = Field(default="", description="Metric judged; empty takes the primary one.")
    max_drop: float | None = Field(
        default=None, ge=0, description="No slice is worse than the champion by more than this."
    )
    max_spread: float | None = Field(
        default=None, ge=0, description="Largest distance between the best slice and the worst."
    )
    min_rows: int = Field(
        default=100, ge=1, description="Slices with fewer test rows are reported, not judged."
    )


class Thresholds(Section):
    """What a model must hold to be registered."""

    metrics: dict[str, Limits] = Field(default={}, description="Bounds by metric: `auc: {min: 0.7}`.")
    improvement: Improvement = Field(default=Improvement(), description="Comparison with the champion.")
    slices: SliceThresholds = Field(default=SliceThresholds(), description="Rules for slices.")


class Explanation(Section):
    """How the model's predictions are explained (Shapley values), on rows of the test split."""

    rows: int = Field(default=500, ge=10, le=100_000, description="Rows that are explained.")
    background: int = Field(
        default=64,
        ge=2,
        le=10_000,
        description="Rows that they are compared with: their mean is the baseline.",
    )
    examples: int = Field(
        default=4,
        ge=0,
        le=20,
        description="Single explained rows in the report, with their values; 0 shows none.",
    )


class Serving(Section):
    """What a model must prove in the prediction service before it is registered."""

    start_s: float = Field(default=120.0, gt=0, description="Seconds until the server is ready, at most.")
    cpu: float = Field(default=1.0, gt=0, description="Cores that it may use on average under the load.")
    memory_mb: float = Field(default=2000.0, gt=0, description="Resident memory that it may use, in MB.")
    replayed_rows: int = Field(
        default=200, ge=1, description="Rows of the test split that are sent as requests, over each protocol."
    )
    tolerance: float = Field(
        default=1e-5,
        ge=0,
        description="Largest difference between an answer and the offline prediction; for regression relative to it.",
    )
    rate: float = Field(default=50.0, gt=0, description="Requests per second of the load test, one row each.")
    load_s: float = Field(default=10.0, gt=0, description="Seconds of the load test.")
    p99_ms: float = Field(
        default=0.0,
        ge=0,
        description="99 % of the answers come within so many milliseconds; 0 measures it and judges nothing.",
    )
    max_error_rate: Share = Field(default=0.0, description="Share of the load's requests that may fail.")


class BatchPrediction(Section):
    """What `penstock run batch_prediction` and `penstock predict` read, and what stands beside the predictions."""

    source: str = Field(
        default="",
        description="File, glob, directory, URI or BigQuery table, as `data.source`; empty takes `data.source` with its format and query.",
    )
    format: Literal["auto", "csv", "jsonl", "parquet"] = Field(
        default="auto", description="Format of `source`; `auto` goes by file name."
    )
    query: str = Field(
        default="", description="SQL (DuckDB) over the table `source`; empty reads all columns and rows."
    )
    since: Start = Field(
        default="",
        description="Start of the window of `data.event_time` (included): a date or time, or a duration before `until`; "
        "empty is open. A schedule's `window` sets both.",
    )
    until: Time = Field(default="", description="End of the window (excluded); empty is open.")
    key: list[Column] = Field(
        default=[],
        description="Columns that stand beside the predictions; [] takes all that are no inputs of the model, or, "
        "where there are none, the row's number.",
    )
    max_unscored: Share = Field(
        default=0.0, description="Share of the rows that may have no prediction; more block."
    )


class AppConfig(Section):
    """A whole app.yaml."""

    name: Name | None = Field(
        default=None, description="Name of the app: that of its folder, which is also the default."
    )
    description: str = Field(default="", description="What the model is for; it stands in the model card.")
    model_name: Name | None = Field(
        default=None, description="Name of the registered model; default: the app's name."
    )
    schema_file: str = Field(
        default="schema.pbtxt",
        alias="schema",
        description="TFDV schema (text proto), relative to the app's folder.",
    )
    data: Data = Field(description="Where the rows come from.")
    statistics: Statistics = Field(default=Statistics(), description="What is measured on the data.")
    validation: Validation = Field(default=Validation(), description="How the data are judged.")
    label: Label = Field(description="What the model learns to predict.")
    cleaning: list[CleaningRule] = Field(
        default=[], description="Rules that drop rows or set values, in their order."
    )
    split: Split = Field(default=Split(), description="Which rows train and which judge.")
    features: Features = Field(default=Features(), description="What the model sees.")
    model: dict[str, Any] = Field(default={}, description="Hyperparameters of the model.")
    tuning: dict[str, Any] = Field(default={}, description="Search for better hyperparameters.")
    evaluation: Evaluation = Field(default=Evaluation(), description="How the model is measured.")
    thresholds: Thresholds = Field(
        default=Thresholds(), description="What a model must hold to be registered."
    )
    explanation: Explanation = Field(default=Explanation(), description="How its predictions are explained.")
    serving: Serving = Field(
        default=Serving(), description="What a model must prove before it is registered."
    )
    batch_prediction: BatchPrediction = Field(
        default=BatchPrediction(), description="What batches of predictions are made of."
    )
    rollout: dict[str, Any] = Field(
        default={},
        description="How a new version gets into the traffic. With this section a model that passes becomes the "
        "challenger, unless there is no champion yet: `penstock rollout` promotes it or rolls it back.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of everything random.")
    promote: bool = Field(default=True, description="Make a model that passes the champion at once.")
