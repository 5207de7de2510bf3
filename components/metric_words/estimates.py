"""Estimates of metrics in words: numbers with their interval, and what a difference means."""

import math
from collections.abc import Mapping

Estimate = Mapping[str, float | None]

MOST_DECIMALS = 6


def estimate_text(estimate: Estimate, signed: bool = False, extra: str = "") -> str:
    """Return `0.871 (0.855 to 0.886)`, a dash where the value is undefined.

    The decimals are those that the interval's width makes meaningful: two digits of the width.

    Args:
        estimate: value, low and high; low and high None where there is no interval.
        signed: Write + before positive numbers, as for a difference.
        extra: Goes into the brackets as well, such as the number of rows.
    """
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "–"
    decimals = decimals_of(estimate)
    parts = [extra] if extra else []
    if low is not None and high is not None:
        parts.insert(0, f"{fixed(low, decimals, signed)} to {fixed(high, decimals, signed)}")
    brackets = f" ({', '.join(parts)})" if parts else ""
    return fixed(value, decimals, signed) + brackets


def difference_words(difference: Estimate, higher_is_better: bool, short: bool = False) -> str:
    """Return `better by 0.012 (0.004 to 0.020)`, `worse by ...`, or that the data can show no difference.

    Better and worse need an interval on one side of 0.
    """
    value, low, high = difference["value"], difference["low"], difference["high"]
    if value is None:
        return "not comparable"
    if low is None or high is None:
        return f"{estimate_text(difference, signed=True)}, without an interval"
    if low <= 0 <= high:
        shown = estimate_text(difference, signed=True)
        return "no clear difference" if short else f"no difference that the data can show, {shown}"
    word = "better" if (value > 0) == higher_is_better else "worse"
    if short:
        return word
    near, far = sorted((abs(low), abs(high)))
    return f"{word} by {estimate_text({'value': abs(value), 'low': near, 'high': far})}"


def plain(value: float, decimals: int | None = None) -> str:
    """Return a number with four significant digits, or with as many decimals as asked."""
    return fixed(value, _four_digits(value) if decimals is None else decimals)


def fixed(value: float, decimals: int, signed: bool = False) -> str:
    """Return a number with `decimals` decimals; a rounded zero has no sign."""
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text.removeprefix("-")
    return f"+{text}" if signed and value > 0 else text


def decimals_of(estimate: Estimate) -> int:
    """Return the decimals that the width of the interval makes meaningful."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if low is None or high is None or not high > low:
        return 3 if value is None or abs(value) < 10 else _four_digits(value)
    return min(max(1 - math.floor(math.log10(high - low)), 0), MOST_DECIMALS)


def _four_digits(value: float) -> int:
    if value == 0:
        return 3
    return min(max(3 - math.floor(math.log10(abs(value))), 0), MOST_DECIMALS)
