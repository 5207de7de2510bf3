"""Whether requests were split as told (sample ratio mismatch): if not, no comparison of the arms is to be trusted."""

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln, xlogy

CONCENTRATION = 1_000.0  # how near to the told split deviations are looked for: a tenth of it and below


def log_evidence(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the log Bayes factor of "split otherwise" over "split as told".

    A Dirichlet mixture around the told shares s: log B(c s + n) - log B(c s) - sum n log s. Under the told split its
    exponential is a martingale of mean 1: reaching 1 / alpha at any look has probability alpha at most (Lindon and Malek
    2020, arXiv 2011.03567; 2022, "Anytime-valid inference for multinomial count data").

    Args:
        counts: Requests of each arm.
        shares: Told shares, positive, in the same order; they need not sum to 1.
    """
    n = np.asarray(counts, float)
    s = np.asarray(shares, float) / np.sum(shares)
    prior = CONCENTRATION * s
    mixture = (
        gammaln(prior.sum()) - gammaln(prior.sum() + n.sum()) + (gammaln(prior + n) - gammaln(prior)).sum()
    )
    return float(mixture - xlogy(n, s).sum())
