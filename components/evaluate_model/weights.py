"""Random weights of the bootstrap: how often each row is drawn in each resample."""

import numpy as np
from numpy.typing import NDArray

# P(weight = 0, 1, ... 5) in 1/256: Poisson(1) rounded so that mean and variance are exactly 1 (sum k p = 256,
# sum k(k-1) p = 256; the third factorial moment is 252/256 instead of 1). Drawing from one random byte is
# what makes it fast. That counts need only be independent with mean 1 and variance 1: Praestgaard and
# Wellner, "Exchangeably weighted bootstraps" (Annals of Probability 21, 1993); the Poisson form: Chamandy et
# al., "Estimating uncertainty for massive data streams" (2012).
SHARES = (94, 95, 46, 16, 4, 1)
CUTS = np.cumsum(SHARES)[:-1].astype(np.uint8)
BLOCK = 1 << 16  # bytes worked on at a time: fits the core's own cache


def draw(rows: int, resamples: int, key: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (rows, resamples) counts that depend on `key` (seed, place in the data) alone."""
    random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))
    size = rows * resamples
    counts = np.empty(size, np.float32)
    reached = np.empty(BLOCK, bool)
    for start in range(0, size, BLOCK):
        n = min(BLOCK, size - start)
        drawn = random.integers(0, 1 << 64, (n + 7) // 8, dtype=np.uint64).view(np.uint8)[:n]
        total = np.zeros(n, np.uint8)
        for cut in CUTS:
            np.greater_equal(drawn, cut, out=reached[:n])
            np.add(total, reached[:n].view(np.uint8), out=total)
        counts[start : start + n] = total
    return counts.reshape(rows, resamples)
