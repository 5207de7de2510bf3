from typing import NamedTuple

from penstock.components.source_files.selection import make_selection
from penstock.components.step_io.artifacts import OutputArtifact
from penstock.components.step_io.main import main


class Outputs(NamedTuple):
    rows: int
    columns: int
    watermark: str
    data_fingerprint: str


def run(
    source: str,
    fingerprint: str,
    dataset: OutputArtifact,
    format: str = "auto",
    query: str = "",
    event_time: str = "",
    event_time_unit: str = "s",
    since: str = "",
    until: str = "",
    rows_per_shard: int = 250_000,
    allow_empty: bool = False,
    snapshot: str = "",
) -> Outputs:
    """Copy a window of a source into Parquet shards, in bounded memory."""
    selection = make_selection(format, query, event_time, event_time_unit, since, until)
    from penstock.components.extract_data.extraction import extract

    found = extract(source, selection, fingerprint, dataset.path, rows_per_shard, allow_empty, snapshot)
    dataset.metadata |= {"rows": found.rows, "columns": found.columns}
    return Outputs(found.rows, found.columns, found.watermark, found.data_fingerprint)


if __name__ == "__main__":
    main(run)
