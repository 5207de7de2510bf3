from kfp import dsl


@dsl.container_component
def compute_statistics(
    dataset: dsl.Input[dsl.Dataset],
    statistics: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    rows: dsl.OutputPath(int),
    slices: list = [],
    weight: str = "",
):
    """Compute exact TFDV statistics of a dataset and draw them as a page.

    Args:
        dataset: Folder of Parquet shards.
        statistics: Folder with statistics.pb, a DatasetFeatureStatisticsList (binary
            proto).
        report: Distributions, missing and unique values, top values, by slice; self-
            contained.
        rows: Number of rows counted: each exactly once.
        slices: Columns by whose values the statistics are computed as well.
        weight: Column with the weight of each row; empty weighs all alike.
    """
    return dsl.ContainerSpec(
        image="penstock/compute_statistics:unpinned",
        command=["python", "-m", "penstock.components.compute_statistics.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
