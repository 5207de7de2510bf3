from kfp import dsl


@dsl.container_component
def inspect_source(
    source: str,
    fingerprint: dsl.OutputPath(str),
    watermark: dsl.OutputPath(str),
    files: dsl.OutputPath(int),
    size_bytes: dsl.OutputPath(int),
    rows: dsl.OutputPath(int),
    window_start: dsl.OutputPath(str),
    window_end: dsl.OutputPath(str),
    snapshot: dsl.OutputPath(str),
    format: str = "auto",
    query: str = "",
    event_time: str = "",
    event_time_unit: str = "s",
    since: str = "",
    until: str = "",
):
    """Tell what is at the source now, without reading more than that takes. Never cached.

    Args:
        source: File, glob or directory of CSV, JSON Lines or Parquet files, at any fsspec
            URI; or a BigQuery table, bq://project.dataset.table.
        fingerprint: Hash of the files' identity (content, etag, or size and time; of a
            table its last change) and of the selection.
        watermark: Latest event time, ISO 8601 in UTC; empty where finding it would mean a
            full read.
        files: Number of files; 0 for a table.
        size_bytes: Size of all files or of the table, bytes.
        rows: Number of rows; -1 where counting would mean a full read.
        window_start: `since` as a fixed time; empty is open.
        window_end: `until` as a fixed time; empty is open.
        snapshot: The moment as of which a table is read that was written within the last
            hour; empty for one that is at rest, and for files.
        format: auto (by file name), csv, jsonl or parquet.
        query: SQL (DuckDB) over the table `source`; empty reads all columns and rows.
        event_time: Column with the time of the event; empty when the data has none.
        event_time_unit: Unit of a numeric event time, counted from 1970 in UTC: s, ms, us
            or ns.
        since: Start of the window of event time (included): a date or time, or a duration
            before `until` such as P30D, ISO 8601; empty is open.
        until: End of the window of event time (excluded): a date or time in ISO 8601, or @
            and seconds since 1970; empty is open.
    """
    return dsl.ContainerSpec(
        image="penstock/inspect_source:unpinned",
        command=["python", "-m", "penstock.components.inspect_source.step"],
        args=["--executor_input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER],
    )
