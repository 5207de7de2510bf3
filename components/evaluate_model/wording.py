"""Estimates in words."""

from collections.abc import Mapping

from penstock.components.html_report.numbers import number

Estimate = Mapping[str, float | None]


def plain(value: float | None) -> str:
    """Return a metric's value: three decimals, or more where the value is small, fewer where it is large."""
    if value is None:
        return "–"
    if value == 0 or 0.0995 <= abs(value) < 100:
        return f"{value:.3f}"
    return (
        f"{value:.5f}"
        if 0.0001 <= abs(value) < 0.00995
        else f"{value:.4f}"
        if abs(value) < 0.0995
        else number(value)
    )


def estimate_text(estimate: Estimate, signed: bool = False) -> str:
    """Return `0.871 (0.855 to 0.886)`; with `signed` each number has its sign."""
    show = _signed if signed else plain
    if estimate["value"] is None:
        return "–"
    if estimate["low"] is None:
        return show(estimate["value"])
    return f"{show(estimate['value'])} ({show(estimate['low'])} to {show(estimate['high'])})"


def difference_words(difference: Estimate, higher_is_better: bool, short: bool = False) -> str:
    """Return `better by 0.012 (0.004 to 0.020)`, `worse by ...`, or that the data can show no difference.

    Better and worse need an interval on one side of 0.
    """
    value, low, high = difference["value"], difference["low"], difference["high"]
    if value is None or low is None or high is None:
        return "not comparable" if value is None else f"{_signed(value)}, without an interval"
    if low <= 0 <= high:
        return (
            "no clear difference"
            if short
            else f"no difference that the data can show ({estimate_text(difference, signed=True)})"
        )
    word = "better" if (value > 0) == higher_is_better else "worse"
    if short:
        return word
    near, far = sorted((abs(low), abs(high)))
    return f"{word} by {plain(abs(value))} ({plain(near)} to {plain(far)})"


def _signed(value: float) -> str:
    text = plain(value)
    return text if text.startswith("-") or value == 0 else f"+{text}"
