from kfp import dsl


@dsl.container_component
def validate_data(
    dataset: dsl.Input[dsl.Dataset],
    statistics: dsl.Input[dsl.Artifact],
    schema: dsl.Input[dsl.Artifact],
    baseline: dsl.Input[dsl.Artifact],
    anomalies: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    verdict: dsl.OutputPath(str),
    reasons: dsl.OutputPath(list),
    drift: dsl.OutputPath(str),
    drifted_features: dsl.OutputPath(list),
    baseline_name: str = "",
    schema_skew: str = "block",
    value_skew: str = "warn",
    min_rows: int = 100,
    drift_thresholds: dict = {},
):
    """Compare statistics with the schema (schema skew) and with a baseline (value skew).

    Args:
        dataset: Folder of Parquet shards; examples of offending values are taken from it.
        statistics: Statistics of the dataset, from compute_statistics.
        schema: Folder with schema.pbtxt, a TFDV schema (text proto).
        baseline: Statistics to compare with, from fetch_champion; ignored when
            baseline_name is empty.
        anomalies: Folder with anomalies.pb (Anomalies proto) and anomalies.json (the same
            for machines).
        report: Which feature, what was expected, what came, how many rows, examples.
        verdict: pass, warn or block; value skew alone never blocks.
        reasons: A sentence for each finding, worst first, at most 20.
        drift: none or drifted.
        drifted_features: Names of the drifted features, worst first, at most 20.
        baseline_name: What the baseline is, for people (`champion version 3`); empty when
            there is none.
        schema_skew: off, warn or block: what schema skew leads to.
        value_skew: off or warn: whether value skew is measured.
        min_rows: Fewer rows than this are schema skew.
        drift_thresholds: From app.yaml: `categorical` (L-infinity), `numeric` (Jensen-
            Shannon), `features` (by name); 0 to 1.
    """
    return dsl.ContainerSpec(
        image="penstock/validate_data:unpinned",
        command=["python", "-m", "penstock.components.validate_data.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
