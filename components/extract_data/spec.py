from kfp import dsl


@dsl.container_component
def extract_data(
    source: str,
    fingerprint: str,
    dataset: dsl.Output[dsl.Dataset],
    rows: dsl.OutputPath(int),
    columns: dsl.OutputPath(int),
    watermark: dsl.OutputPath(str),
    data_fingerprint: dsl.OutputPath(str),
    format: str = "auto",
    query: str = "",
    event_time: str = "",
    event_time_unit: str = "s",
    since: str = "",
    until: str = "",
    rows_per_shard: int = 250_000,
    allow_empty: bool = False,
    snapshot: str = "",
):
    """Copy a window of a source into Parquet shards, in bounded memory.

    Args:
        source: File, glob or directory of CSV, JSON Lines or Parquet files, at any fsspec
            URI; or a BigQuery table, bq://project.dataset.table.
        fingerprint: What inspect_source found; a source that has changed since is an error.
        dataset: Folder of Parquet shards part-00000.parquet, part-00001.parquet, ...
        rows: Number of rows written.
        columns: Number of columns.
        watermark: Latest event time read, ISO 8601 in UTC; empty without an event time.
        data_fingerprint: Hash of the rows and columns that were really read.
        format: auto (by file name), csv, jsonl or parquet.
        query: SQL (DuckDB) over the table `source`; empty reads all columns and rows.
        event_time: Column with the time of the event; empty when the data has none.
        event_time_unit: Unit of a numeric event time, counted from 1970 in UTC: s, ms, us
            or ns.
        since: Start of the window of event time (included): a date or time, or a duration
            before `until` such as P30D, ISO 8601; empty is open.
        until: End of the window of event time (excluded): a date or time in ISO 8601, or @
            and seconds since 1970; empty is open.
        rows_per_shard: Rows in each shard; also bounds the memory.
        allow_empty: Write one shard without rows where the source or the window holds none;
            else that is an error.
        snapshot: The moment as of which a table is read, from inspect_source; empty is that
            of its URI, or now.
    """
    return dsl.ContainerSpec(
        image="penstock/extract_data:unpinned",
        command=["python", "-m", "penstock.components.extract_data.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
