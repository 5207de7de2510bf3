"""Looks for single columns that give the label away: hints for people, not part of the verdict."""

from collections.abc import Mapping, Sequence

import duckdb

from penstock.components.duckdb_session.column_types import dataset_type
from penstock.components.duckdb_session.session import first_row, identifier, literal
from penstock.components.prepare_data.labels import LabelSpec

SAMPLE_ROWS = 20_000  # the first ones: enough to see a near perfect relation
FEWEST_ROWS = 100
NEAR_PERFECT_AUC = 0.995
NEAR_PERFECT_PURITY = 0.995
NEAR_PERFECT_CORRELATION = 0.9999
ROWS_PER_VALUE = 20  # on average; else each row is a value of its own, and purity means nothing


def find_leaks(
    connection: duckdb.DuckDBPyConnection,
    target: str,
    usable: str,
    spec: LabelSpec,
    types: Mapping[str, str],
    left_out: Sequence[str],
) -> list[str]:
    """Return a sentence for each column that alone determines the label almost perfectly.

    Args:
        connection: Where the view `labelled` is.
        target: SQL expression of the label.
        usable: SQL condition of the rows that count.
        spec: What the label is.
        types: DuckDB types of the columns.
        left_out: Columns that are never features.
    """
    kinds = {n: dataset_type(t) for n, t in types.items() if n not in left_out and not n.startswith("__")}
    columns = ", ".join(identifier(name) for name in kinds)
    if not columns:
        return []
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sample AS SELECT {columns}, {target} AS __y FROM labelled "
        f"WHERE {usable} LIMIT {SAMPLE_ROWS}"
    )
    row = first_row(connection, "SELECT count(*) FROM sample")
    if row[0] < FEWEST_ROWS:
        return []
    numeric = [name for name, kind in kinds.items() if kind in ("int64", "double")]
    others = [name for name in kinds if name not in numeric]
    if spec.task == "regression":
        found = _correlated(connection, numeric)
    else:
        found = _pure(connection, others)
        if spec.task == "binary":
            found |= _ranked(connection, numeric, spec.positive)
    return [
        f"{name!r} alone tells the label ({measure}): if it is a feature, check that it is known before the event"
        for name, measure in sorted(found.items())
    ]


def _ranked(connection: duckdb.DuckDBPyConnection, names: Sequence[str], positive: str) -> dict[str, str]:
    """AUC = sum over values v of p(v) (n(<v) + n(v) / 2), over (P N), from rows with a value."""
    if not names:
        return {}
    columns = ", ".join(f"CAST({identifier(n)} AS DOUBLE) AS {identifier(n)}" for n in names)
    rows = connection.execute(
        f"""WITH long AS (UNPIVOT (SELECT {columns}, __y = {literal(positive)} AS __p FROM sample)
            ON * EXCLUDE (__p) INTO NAME name VALUE v),
        counted AS (SELECT name, v, count(*) FILTER (__p) AS p, count(*) FILTER (NOT __p) AS n FROM long WHERE isfinite(v)
            GROUP BY name, v),
        ranked AS (SELECT name, p, n, sum(n) OVER (PARTITION BY name ORDER BY v) AS up_to FROM counted)
        SELECT name, CAST(sum(p * (2 * up_to - n)) AS DOUBLE) / (2.0 * sum(p) * sum(n)), sum(p), sum(n) FROM ranked
        GROUP BY name HAVING sum(p) > 0 AND sum(n) > 0"""
    ).fetchall()
    return {
        name: f"AUC {max(auc, 1 - auc):.3f} on {int(p + n)} rows"
        for name, auc, p, n in rows
        if max(auc, 1 - auc) > NEAR_PERFECT_AUC and p + n >= FEWEST_ROWS
    }


def _pure(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, str]:
    """Purity = share of rows whose class is the commonest among the rows with the same value."""
    if not names:
        return {}
    columns = ", ".join(f"CAST({identifier(n)} AS VARCHAR) AS {identifier(n)}" for n in names)
    rows = connection.execute(
        f"""WITH long AS (UNPIVOT (SELECT {columns}, __y FROM sample) ON * EXCLUDE (__y) INTO NAME name VALUE v),
        counted AS (SELECT name, v, __y, count(*) AS c FROM long GROUP BY name, v, __y),
        of_value AS (SELECT name, v, max(c) AS best, sum(c) AS c FROM counted GROUP BY name, v),
        of_class AS (SELECT name, max(c) AS top FROM
            (SELECT name, __y, sum(c) AS c FROM counted GROUP BY name, __y) GROUP BY name)
        SELECT name, sum(best), sum(c), count(*), any_value(top) FROM of_value JOIN of_class USING (name)
        GROUP BY name"""
    ).fetchall()
    return {
        name: f"purity {best / c:.3f} on {int(c)} rows"
        for name, best, c, values, top in rows
        if best / c > NEAR_PERFECT_PURITY
        and c >= FEWEST_ROWS
        and values * ROWS_PER_VALUE <= c
        and (1 - best / c) * 20 < 1 - top / c
    }


def _correlated(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, str]:
    if not names:
        return {}
    measures = ", ".join(
        f"corr({identifier(n)}, __y) FILTER (isfinite(CAST({identifier(n)} AS DOUBLE)))" for n in names
    )
    row = first_row(connection, f"SELECT {measures} FROM sample")
    return {
        name: f"correlation {r:.3f}"
        for name, r in zip(names, row, strict=True)
        if r is not None and abs(r) > NEAR_PERFECT_CORRELATION
    }
