"""How a rollout went over time: what the report draws, as JSON values."""

from collections import Counter
from typing import Any

import numpy as np

from penstock.components.analyze_rollout.assembly import bins_of, joined_by_period
from penstock.components.analyze_rollout.setup import Setup
from penstock.components.analyze_rollout.store import Store
from penstock.components.rollout_statistics.histograms import quantile, score_edges
from penstock.components.rollout_statistics.means import (
    Moments,
    difference,
    difference_by_period,
    mean_bounds,
    scale_of_effects,
)
from penstock.components.rollout_statistics.rates import rate_bounds
from penstock.components.rollout_statistics.traffic import Traffic

POINTS = 60  # of a curve, at most
SCORE_BARS = 20
ALPHA = 0.05  # of the bands
FEWEST_TO_DRAW = 30  # outcomes: bands of fewer fill the picture


def make_curves(traffic: Traffic, setup: Setup, store: Store) -> dict[str, Any]:
    """Return seconds since the first request, and by version: requests and rates, latency, outcomes."""
    periods = traffic.period_starts
    if not len(periods):
        return {}
    length = setup.rollout.period_s
    first, last = int(periods[0]), int(periods[-1]) + length
    points = min(POINTS, (last - first) // length)
    edges = np.linspace(first, last, points + 1)
    place = np.searchsorted(edges, periods + length / 2) - 1
    seconds = [round(float(e - first), 1) for e in edges[1:]]
    found: dict[str, Any] = {"seconds": seconds, "first": first, "versions": {}}
    for version, arm in traffic.arms.items():
        sums = {
            what: np.bincount(place, getattr(arm, what), points)
            for what in ("requests", "errors", "refused", "rows", "nans")
        }
        curve = {"requests": sums["requests"].astype(int).tolist()}
        curve["error_rate"] = _rate(sums["errors"], sums["requests"])
        curve["nan_share"] = _rate(sums["nans"], sums["rows"])
        curve["latency"] = _latency(store, version, edges, length)
        found["versions"][version] = curve
    outcomes = _outcomes(store, setup, edges, length)
    for version, curve in outcomes.items():
        found["versions"][version]["outcome"] = {k: v for k, v in curve.items() if k != "moments"}
    if len(setup.challengers) == 1 and len(outcomes) == 2:
        found["difference"] = _difference(outcomes, setup)
    return found


def _rate(events: Any, trials: Any) -> dict[str, list[float | None]]:
    k, n = events.cumsum(), trials.cumsum()
    low, high = rate_bounds(k, n, ALPHA)
    seen = n > 0
    return {
        name: [float(v) if s else None for v, s in zip(values, seen, strict=True)]
        for name, values in (("value", k / np.maximum(n, 1)), ("low", low), ("high", high))
    }


def _latency(store: Store, version: str, edges: Any, length: int) -> dict[str, list[float | None]]:
    counts: list[Counter[int]] = [Counter() for _ in edges[1:]]
    rows = store.rows("SELECT period, bin, n FROM bins WHERE version = ? AND what = 'latency'", version)
    for period, bin_, n in rows:
        counts[int(np.searchsorted(edges, (period + 0.5) * length)) - 1][bin_] += n
    return {
        name: [round(quantile(c, share, ALPHA).value, 3) if c else None for c in counts]
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


def _outcomes(store: Store, setup: Setup, edges: Any, length: int) -> dict[str, dict[str, Any]]:
    points = len(edges) - 1
    sums: dict[str, Any] = {}
    for version, period, moments in joined_by_period(store, setup.rollout, setup.now):
        at = min(max(int(np.searchsorted(edges, (period + 0.5) * length)) - 1, 0), points - 1)
        cell = sums.setdefault(version, np.zeros((3, points)))
        cell[:, at] += (moments.n, moments.total, moments.squares)
    found = {}
    for version, cells in sums.items():
        n, total, squares = cells.cumsum(axis=1)
        moments = Moments(n, total, squares)
        if setup.rollout.outcome.kind == "binary":
            low, high = rate_bounds(total, n, ALPHA)
        else:
            low, high = mean_bounds(moments, ALPHA)
        shown = n >= FEWEST_TO_DRAW
        curve = {
            name: [float(v) if s else None for v, s in zip(values, shown, strict=True)]
            for name, values in (("value", moments.mean), ("low", low), ("high", high))
        }
        found[version] = {**curve, "n": n.astype(int).tolist(), "moments": moments}
    return found


def _difference(outcomes: dict[str, dict[str, Any]], setup: Setup) -> dict[str, list[float | None]]:
    """Return the bounds on which the strategy decides: a bandit's come from differences within the intervals."""
    bandit = setup.rollout.strategy == "bandit"
    settings = setup.rollout.bandit if bandit else setup.rollout.ab_test
    zero, one = (outcomes[v]["moments"] for v in setup.versions)
    tau = scale_of_effects(zero, settings.min_effect)
    if bandit:
        apart = (
            Moments(*(np.diff(part, prepend=0) for part in (m.n, m.total, m.squares))) for m in (one, zero)
        )
        up_to = np.tri(len(zero.n))  # row i holds the intervals up to i
        one, zero = (Moments(*(part * up_to for part in (m.n, m.total, m.squares))) for m in apart)
        test = difference_by_period(one, zero, tau, 2 * settings.alpha)
        fewest = np.minimum(one.n.sum(axis=1), zero.n.sum(axis=1))
    else:
        test = difference(one, zero, tau, 2 * settings.alpha)
        fewest = np.minimum(one.n, zero.n)
    shown = (fewest >= FEWEST_TO_DRAW) & np.isfinite(test.low)
    return {
        name: [float(v) if s else None for v, s in zip(values, shown, strict=True)]
        for name, values in (("value", test.value), ("low", test.low), ("high", test.high))
    }


def make_score_bars(store: Store, setup: Setup) -> dict[str, Any]:
    """Return bars of equal width over the champion's scores but for its rarest, as shares by version."""
    counts = {v: bins_of(store, v, "score") for v in setup.versions}
    champion = counts[setup.champion]
    if not champion or not any(counts[v] for v in setup.challengers):
        return {}
    if all(0 <= b < 1000 for c in counts.values() for b in c):
        low, high = 0.0, 1.0
    else:
        low, high = _middle(champion)
    edges = np.linspace(low, high, SCORE_BARS + 1)
    shares = {}
    for version, bins in counts.items():
        bars = np.zeros(SCORE_BARS)
        for bin_, n in bins.items():
            middle = sum(score_edges(bin_)) / 2
            bars[int(np.clip((middle - low) / (high - low) * SCORE_BARS, 0, SCORE_BARS - 1))] += n
        shares[version] = [round(float(b), 6) for b in bars / max(bars.sum(), 1)]
    return {"edges": [round(float(e), 6) for e in edges], "shares": shares}


def _middle(counts: dict[int, int]) -> tuple[float, float]:
    bins = sorted(counts, key=lambda b: score_edges(b)[0])
    up_to = np.cumsum([counts[b] for b in bins])
    first, last = (bins[int(np.searchsorted(up_to, q * up_to[-1]))] for q in (0.005, 0.995))
    low, high = score_edges(first)[0], score_edges(last)[1]
    return low, max(high, low + 1e-9)
