"""Numbers as people read them."""

import math


def number(value: float | int | None, digits: int = 4) -> str:
    """Return `value` with `digits` significant digits and thousands separators; a dash for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    magnitude = abs(value)
    if magnitude >= 1e15 or magnitude < 1e-4:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(magnitude)))
    return f"{value:,.{min(decimals, 6)}f}"


def share(value: float | None, digits: int = 1) -> str:
    """Return a share from 0 to 1 as a percentage; what is not none or all is not rounded to it."""
    if value is None or math.isnan(value):
        return "–"
    if 0 < value < 0.5 * 10 ** (-digits - 2):
        return f"< {10**-digits:.{digits}f} %"
    if 1 - 0.5 * 10 ** (-digits - 2) < value < 1:
        return f"> {100 - 10**-digits:.{digits}f} %"
    return f"{100 * value:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """Return a duration: 0.4 s, 12 s, 3 min 5 s, 2 h 4 min."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round axis values that cover low to high (multiples of 1, 2 or 5 times a power of ten)."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_label(value: float) -> str:
    """Return an axis value without needless zeros."""
    if value == 0 or 1e-4 <= abs(value) < 1e15:
        text = f"{value:,.6f}".rstrip("0").rstrip(".")
        return text if text != "-0" else "0"
    return f"{value:.0e}"
