"""The nearest allowed word to one that a person typed."""

import difflib
from collections.abc import Iterable


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word most like `word`, or None when none comes close.

    A word that contains the other counts as close: 'payment' finds 'payment_type'.
    """
    words = list(allowed)
    folded = {candidate.lower(): candidate for candidate in words}
    if word.lower() in folded:
        return folded[word.lower()]
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    if close:
        return folded[close[0]]
    inside = [candidate for candidate in words if len(word) > 2 and word.lower() in candidate.lower()]
    return min(inside, key=len) if inside else None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or an empty text when nothing comes close."""
    found = nearest(word, allowed)
    return f"; did you mean {found!r}?" if found else ""
