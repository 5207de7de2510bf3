from kfp import dsl


@dsl.container_component
def explain_model(
    model: dsl.Input[dsl.Model],
    data: dsl.Input[dsl.Dataset],
    explanation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    slices: list = [],
    rows: int = 500,
    background: int = 64,
    pairs: int = 1,
    examples: int = 4,
    confidence: float = 0.95,
    seed: int = 0,
):
    """Tell what moves a model's output: Shapley values of its raw inputs, overall, by slice and row by row.

    Args:
        model: From train_model.
        data: Folder of Parquet shards: the test split of prepare_data, or rows like it.
        explanation: Folder with explanation.json (all that the report shows), attribution_baseline.json
            (the distribution of each input's attributions, for monitoring), attributions.parquet
            (explained rows), background.json (for the service's :explain) and
            vertex_explanation_spec.json.
        metrics: Baseline, sizes, and the mean absolute attributions of the ten inputs that matter most.
        report: What matters, in which direction, for which values and slices; single rows.
        slices: Columns, or lists of columns (crosses), by whose values attributions are averaged as well.
        rows: Rows that are explained, drawn at random.
        background: Rows that they are compared with, drawn at random: their mean output is the baseline.
        pairs: Permutations of the inputs, each walked in both directions, from each background row.
        examples: Single explained rows in the report, with their values; 0 shows none.
        confidence: Level of the confidence intervals.
        seed: Seed of everything random.
    """
    return dsl.ContainerSpec(
        image="penstock/explain_model:unpinned",
        command=["python", "-m", "penstock.components.explain_model.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
