"""BigQuery tables as sources: how a URI names one, and what is known of it before its rows are read."""

import datetime
import re
from dataclasses import dataclass

from penstock.components.source_files.selection import parse_bound, to_iso
from penstock.components.step_io.errors import StepError

SCHEME = "bq://"
FORM = f"{SCHEME}project.dataset.table"
PROJECT = re.compile(
    r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]*"
)  # with the domain of an old organization before the colon
DATASET = re.compile(r"[\w-]+")
TABLE = re.compile(r"[\w -]+")
RECENT_US = 3_600 * 1_000_000  # a table written since then may well be written again before it is read

# https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema, and how DuckDB sees the column.
SQL_TYPES = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "INT64": "BIGINT",
    "FLOAT": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": "DOUBLE",  # wider than DuckDB's decimals
    "BOOLEAN": "BOOLEAN",
    "BOOL": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "GEOGRAPHY": "VARCHAR",
    "JSON": "VARCHAR",
}


@dataclass(frozen=True)
class TableName:
    """Where a table is, and the moment as of which it is read; None is now. Microseconds since 1970."""

    project: str
    dataset: str
    table: str
    snapshot_us: int | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.project}.{self.dataset}.{self.table}"

    @property
    def path(self) -> str:
        """The resource name that the Storage Read API takes."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"


@dataclass(frozen=True)
class Column:
    """A column of a table; `sql_type` is DuckDB's, or empty for a type that is not read."""

    name: str
    type: str
    sql_type: str

    @property
    def is_nested(self) -> bool:
        """Whether it holds lists or records."""
        return self.sql_type.startswith("STRUCT") or self.sql_type.endswith("]")


@dataclass(frozen=True)
class Table:
    """What BigQuery tells of a table. Times are microseconds since 1970.

    `rows` is -1 where it is not known: rows that were streamed in lately are not counted.
    """

    name: TableName
    columns: tuple[Column, ...]
    rows: int
    size_bytes: int
    created_us: int
    modified_us: int
    streaming: bool
    looked_at_us: int

    @property
    def snapshot_us(self) -> int | None:
        """The moment as of which to read it; None where it is at rest, so that now is as good.

        BigQuery keeps the past of a table for some days only, hence none for a table that is at rest.
        """
        if self.name.snapshot_us is not None:
            return self.name.snapshot_us
        if self.streaming or self.looked_at_us - self.modified_us < RECENT_US:
            return max(
                self.looked_at_us, self.modified_us + 1_000
            )  # a time of BigQuery is cut to milliseconds
        return None

    def identity(self) -> list[str]:
        """Return what tells one state of the table from another.

        The time of the last change, not the etag: that also changes with what is no data, such as the bytes
        that count as long-term storage. Rows in the streaming buffer change neither, hence the moment then.
        """
        known = [str(self.name), str(self.created_us)]
        if self.name.snapshot_us is not None and self.name.snapshot_us < self.modified_us:
            return [*known, f"snapshot:{self.name.snapshot_us}"]
        if self.streaming:
            return [*known, f"snapshot:{self.snapshot_us}"]
        return [*known, str(self.modified_us), str(self.rows), str(self.size_bytes)]


def is_table(uri: str) -> bool:
    """Return whether a source is a BigQuery table."""
    return uri.startswith(SCHEME)


def parse_table(uri: str) -> TableName:
    """Return the table that a URI names: bq://project.dataset.table, with @ and a time for its state then.

    Raises:
        StepError: The URI has another form, names a partition or several tables, or the time is none.
    """
    name, at, moment = uri.removeprefix(SCHEME).partition("@")
    parts = name.replace("`", "").rsplit(".", 2)
    if len(parts) != 3 or not all(parts):
        raise StepError(f"the source {uri!r} names no table: write {FORM}")
    project, dataset, table = parts
    if "*" in table:
        raise StepError(f"the source {uri!r} names several tables: make one of them, and write {FORM}")
    if "$" in table:
        raise StepError(
            f"the source {uri!r} names a partition: name the table, and take its part with data.since and data.until"
        )
    for what, text, form in (
        ("project", project, PROJECT),
        ("dataset", dataset, DATASET),
        ("table", table, TABLE),
    ):
        if not form.fullmatch(text):
            raise StepError(f"the source {uri!r} has no {what} of BigQuery, {text!r}: write {FORM}")
    if not at:
        return TableName(project, dataset, table)
    return TableName(project, dataset, table, _snapshot(uri, moment))


def table_format(uri: str, format: str) -> str:
    """Return the format of a table, where the setting allows it.

    Raises:
        StepError: A format of files is set.
    """
    if format != "auto":
        raise StepError(
            f"format is {format!r}, and the source {uri!r} is a BigQuery table: set format to auto"
        )
    return "bigquery"


def sql_type(field: dict[str, object]) -> str:
    """Return DuckDB's type of a column as tables.get describes it; empty for one that is not read."""
    kind = str(field["type"]).upper()
    if kind in ("RECORD", "STRUCT"):
        fields = field.get("fields")
        members = [(one["name"], sql_type(one)) for one in fields] if isinstance(fields, list) else []
        if not members or not all(type_ for _, type_ in members):
            return ""
        quoted = (f'"{str(name).replace(chr(34), chr(34) * 2)}" {type_}' for name, type_ in members)
        found = f"STRUCT({', '.join(quoted)})"
    else:
        found = SQL_TYPES.get(kind, "")
    return f"{found}[]" if found and field.get("mode") == "REPEATED" else found


def _snapshot(uri: str, moment: str) -> int:
    try:
        found = parse_bound("", moment)
    except StepError:
        found = None
    if found is None:
        raise StepError(
            f"the source {uri!r} ends in {'@' + moment!r}, expected @ and an ISO 8601 time, "
            "such as @2026-01-31T06:00:00Z"
        )
    now = int(datetime.datetime.now(datetime.UTC).timestamp() * 1_000_000)
    if found > now:
        raise StepError(f"the source {uri!r} is to be read as of {to_iso(found)}, which is yet to come")
    return found
