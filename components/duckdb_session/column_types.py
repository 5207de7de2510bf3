"""The four types of a Dataset's columns, and how DuckDB's types become them."""

from penstock.components.duckdb_session.session import identifier

SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
FLOATS = {"FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT", "BIGNUM"}
TEXTS = {"VARCHAR", "UUID", "TIME", "TIME WITH TIME ZONE", "TIME_NS", "INTERVAL", "BIT", "BLOB"}
MOMENTS = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}


def dataset_type(duckdb_type: str) -> str:
    """Return the Dataset type that a column of this DuckDB type is written as; empty for nested values.

    Decimals and integers of 128 bits become double; dates and timestamps become int64 seconds.
    """
    if duckdb_type.endswith("]") or duckdb_type.startswith(("STRUCT", "MAP", "UNION", "VARIANT", "GEOMETRY")):
        return ""
    if duckdb_type in INTEGERS or is_moment(duckdb_type):
        return "int64"
    if duckdb_type in FLOATS or duckdb_type.startswith("DECIMAL"):
        return "double"
    if duckdb_type == "BOOLEAN":
        return "bool"
    if duckdb_type in TEXTS or duckdb_type.startswith("ENUM") or duckdb_type in ('"NULL"', "NULL"):
        return "string"
    return "string" if duckdb_type == "JSON" else ""


def is_moment(duckdb_type: str) -> bool:
    """Return whether the type is a date or a timestamp."""
    return duckdb_type in MOMENTS or duckdb_type.startswith("TIMESTAMP")


def to_dataset_sql(column: str, duckdb_type: str) -> str:
    """Return the SQL expression that turns a column into its Dataset type."""
    name = identifier(column)
    if is_moment(duckdb_type):
        return f"CAST(floor({epoch_us_sql(column, duckdb_type)} / 1000000) AS BIGINT)"
    wanted = SQL_TYPES[dataset_type(duckdb_type)]
    return name if duckdb_type == wanted else f"CAST({name} AS {wanted})"


def epoch_us_sql(column: str, duckdb_type: str) -> str:
    """Return the SQL expression of a date or timestamp as microseconds since 1970."""
    zoned = "TZ" in duckdb_type or "TIME ZONE" in duckdb_type
    wanted = "TIMESTAMP WITH TIME ZONE" if zoned else "TIMESTAMP"
    return f"epoch_us(CAST({identifier(column)} AS {wanted}))"
