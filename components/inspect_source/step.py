import logging
from typing import NamedTuple

from penstock.components.inspect_source.contents import read_contents
from penstock.components.source_files.fingerprint import fingerprint
from penstock.components.source_files.listing import find_source
from penstock.components.source_files.selection import fixed, make_selection, to_iso
from penstock.components.step_io.main import main

log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    fingerprint: str
    watermark: str
    files: int
    size_bytes: int
    rows: int
    window_start: str
    window_end: str
    snapshot: str


def run(
    source: str,
    format: str = "auto",
    query: str = "",
    event_time: str = "",
    event_time_unit: str = "s",
    since: str = "",
    until: str = "",
) -> Outputs:
    """Tell what is at the source now, without reading more than that takes."""
    selection = make_selection(format, query, event_time, event_time_unit, since, until)
    found = find_source(source, selection.format)
    print_ = fingerprint(found, selection)
    contents = read_contents(found, selection)
    as_of = found.table.snapshot_us if found.table else None
    log.info(
        "files: %d (%s, %d bytes), rows: %s, fingerprint %s",
        len(found.files),
        found.format,
        found.size_bytes,
        "unknown" if contents.rows < 0 else contents.rows,
        print_,
    )
    return Outputs(
        print_,
        contents.watermark,
        len(found.files),
        found.size_bytes,
        contents.rows,
        fixed(since, selection.since_us),
        fixed(until, selection.until_us),
        "" if as_of is None else to_iso(as_of),
    )


if __name__ == "__main__":
    main(run)
