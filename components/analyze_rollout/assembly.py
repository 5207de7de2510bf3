"""Makes of the store's counts what the strategies take: traffic by arm, outcomes joined, segments merged."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.components.analyze_rollout.store import Store
from penstock.components.rollout_settings.settings import Rollout, seconds_of
from penstock.components.rollout_statistics.means import Moments
from penstock.components.rollout_statistics.traffic import Arm, Traffic

MOST_VALUES = 30  # of a segment column: the most frequent, and (other)
OTHER = "(other)"
COUNTED = ("requests", "errors", "refused", "rows", "nans")


def assemble(
    store: Store,
    versions: Sequence[str],
    idle: Sequence[str],
    rollout: Rollout,
    times: tuple[float, float, float],
) -> Traffic:
    """Return the traffic of a rollout.

    Args:
        store: The counts.
        versions: The arms.
        idle: Those that have no weight now: their latency, scores and outcomes count since the beginning.
        rollout: The settings.
        times: When the rollout began, since when the weights hold, the time of the look; seconds since 1970.
    """
    started, since, now = times
    length = rollout.period_s
    # A period in which the weights changed belongs to neither.
    first = -int(-since // length) if since else 0
    periods = [row[0] for row in store.rows("SELECT DISTINCT period FROM counts ORDER BY period")]
    index = {period: i for i, period in enumerate(periods)}
    table = {v: {what: np.zeros(len(periods), np.int64) for what in COUNTED} for v in versions}
    for version, period, what, n in store.rows("SELECT version, period, what, n FROM counts"):
        table[version][what][index[period]] = n
    by_period = {v: np.zeros((3, len(periods))) for v in versions}
    for version, period, moments in joined_by_period(store, rollout, now):
        by_period[version][:, index[period]] += (moments.n, moments.total, moments.squares)
    recent, whole = joined(store, rollout, now, since), joined(store, rollout, now, 0.0)
    arms = {}
    for version in versions:
        begin = 0 if version in idle else first
        arms[version] = Arm(
            **table[version],
            latency=bins_of(store, version, "latency", begin),
            scores=bins_of(store, version, "score", begin),
            outcomes=(whole if version in idle else recent).get(version, Moments()),
            all_outcomes=whole.get(version, Moments()),
            outcome_periods=Moments(*by_period[version]),
        )
    starts = np.array([p * length for p in periods], np.int64)
    return Traffic(arms, starts, started, since, now, segments_of(store, versions, rollout, now, since))


def bins_of(store: Store, version: str, what: str, begin: int = 0) -> dict[int, int]:
    """Return the counts by bin of a version, from a period on."""
    sql = "SELECT bin, SUM(n) FROM bins WHERE version = ? AND what = ? AND period >= ? GROUP BY bin"
    return dict(store.rows(sql, version, what, begin))


def joined(store: Store, rollout: Rollout, now: float, since: float) -> dict[str, Moments]:
    """Return the outcomes of the requests since a time, by version."""
    rows = _joined(store, rollout, now, since, "version")
    return {version: Moments(n, total, squares) for version, n, total, squares in rows}


def joined_by_period(store: Store, rollout: Rollout, now: float) -> list[tuple[str, int, Moments]]:
    """Return the outcomes by version and period."""
    columns = f"version, CAST(requests.time / {rollout.period_s} AS INTEGER)"
    rows = _joined(store, rollout, now, 0.0, columns)
    return [(version, period, Moments(n, total, squares)) for version, period, n, total, squares in rows]


def _joined(store: Store, rollout: Rollout, now: float, since: float, columns: str) -> list[tuple[Any, ...]]:
    """Join outcomes to requests: late ones within their window; one of each request."""
    window = seconds_of(rollout.outcome.window)
    in_time = "outcomes.time - requests.time <= ?"
    if rollout.outcome.missing == "zero":
        # Only requests whose window is over: before, those with an outcome would be counted too soon.
        value, join = f"CASE WHEN {in_time} THEN outcomes.value ELSE 0 END", "LEFT JOIN"
        condition, values = "requests.time <= ?", (window, since, now - window)
    else:
        value, join, condition, values = "outcomes.value", "JOIN", in_time, (since, window)  # type: ignore[assignment]
    sql = (
        f"SELECT {columns}, COUNT(v), SUM(v), SUM(v * v) FROM (SELECT requests.*, {value} AS v FROM requests "
        f"{join} outcomes ON outcomes.id = requests.id WHERE requests.time >= ? AND {condition}) AS requests "
        f"GROUP BY {columns} ORDER BY {columns}"
    )
    return store.rows(sql, *values)


def segments_of(
    store: Store, versions: Sequence[str], rollout: Rollout, now: float, since: float
) -> dict[tuple[str, str], dict[str, Moments]]:
    """Return outcomes by segment column and value, then by version; rare values are one."""
    if not rollout.segments:
        return {}
    names = {row[0]: json.loads(row[1]) for row in store.rows("SELECT id, value FROM segments")}
    rows = [r for r in _joined(store, rollout, now, since, "version, segment") if r[1] in names]
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for at, column in enumerate(rollout.segments):
        sizes: Counter[str] = Counter()
        for _, segment, n, _, _ in rows:
            sizes[names[segment][at]] += n
        kept = sorted(sizes, key=lambda value: (-sizes[value], value))[:MOST_VALUES]
        for version, segment, *sums in rows:
            value = names[segment][at]
            key = (column.column, value if value in kept else OTHER)
            cell = found.setdefault(key, defaultdict(lambda: [0.0, 0.0, 0.0]))[version]
            for i, part in enumerate(sums):
                cell[i] += part
    return {
        key: {
            v: Moments(int(arms[v][0]), arms[v][1], arms[v][2]) if v in arms else Moments() for v in versions
        }
        for key, arms in sorted(found.items())
    }


def pairs_of(store: Store, champion: str, challenger: str) -> dict[str, float]:
    """Return how answers to the same requests differ."""
    row = store.rows(
        "SELECT COUNT(*), AVG(ABS(a.score - b.score)), COUNT(a.label = b.label), AVG(a.label = b.label) "
        "FROM answers AS a JOIN answers AS b ON a.id = b.id "
        "WHERE a.version = ? AND b.version = ? AND a.score IS NOT NULL AND b.score IS NOT NULL",
        challenger,
        champion,
    )[0]
    n, difference, labelled, agree = (part or 0 for part in row)
    return {"n": n, "difference": float(difference), "labelled": labelled, "agree": float(agree)}
