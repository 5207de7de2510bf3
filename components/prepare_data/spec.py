from kfp import dsl


@dsl.container_component
def prepare_data(
    dataset: dsl.Input[dsl.Dataset],
    label: dict,
    train_data: dsl.Output[dsl.Dataset],
    validation_data: dsl.Output[dsl.Dataset],
    test_data: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    verdict: dsl.OutputPath(str),
    reasons: dsl.OutputPath(list),
    label_spec: dsl.OutputPath(dict),
    split_rows: dsl.OutputPath(dict),
    cleaning: list = [],
    split: dict = {},
    event_time: str = "",
    weight: str = "",
):
    """Clean the rows, make the label and split into train, validation and test.

    Args:
        dataset: Folder of Parquet shards.
        label: The section `label` of app.yaml.
        train_data: Folder of Parquet shards.
        validation_data: Folder of Parquet shards.
        test_data: Folder of Parquet shards.
        report: Rows dropped by each rule, class balance and sizes of the splits.
        verdict: pass, warn or block (for instance a label with a single class).
        reasons: A sentence for each finding, worst first, at most 20.
        label_spec: name, task (binary, multiclass or regression), classes (as text, sorted;
            empty for regression), positive (class whose probability is the score; binary
            only).
        split_rows: Rows of train, validation and test.
        cleaning: The section `cleaning` of app.yaml.
        split: The section `split` of app.yaml.
        event_time: Column with the time of the event, for splits by time.
        weight: Column with the weight of each row; must be positive.
    """
    return dsl.ContainerSpec(
        image="penstock/prepare_data:unpinned",
        command=["python", "-m", "penstock.components.prepare_data.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
