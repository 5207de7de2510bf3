"""Seeded outcomes and scores to measure."""

import numpy as np

from penstock.components.evaluate_model.outcomes import Outcome, Scored
from penstock.components.row_slices.slices import Slicing

NONE = np.empty(0)
NO_CODES = np.empty(0, np.int32)


def binary(n, seed=0, strength=1.2, base=0.3, decimals=None, weighted=False):
    """Return an outcome and the scores of a model; `decimals` rounds scores, which makes ties."""
    random = np.random.default_rng(seed)
    positive = random.random(n) < base
    scores = 1 / (1 + np.exp(-(random.normal(size=n) + strength * positive - 1)))
    if decimals is not None:
        scores = scores.round(decimals)
    weights = random.uniform(0.2, 3.0, n) if weighted else None
    return Outcome("binary", ("no", "yes"), 1, positive.astype(np.int32), NONE, weights), binary_scored(
        scores
    )


def binary_scored(scores):
    scores = np.asarray(scores, float)
    return Scored(scores, (scores >= 0.5).astype(np.int32))


def noisy(scored, seed=9, noise=0.5):
    """Return another model's scores: the same, with noise on the logit."""
    p = np.clip(scored.scores, 1e-6, 1 - 1e-6)
    logit = np.log(p / (1 - p)) + noise * np.random.default_rng(seed).normal(size=len(p))
    return binary_scored(1 / (1 + np.exp(-logit)))


def multiclass(n, classes=4, seed=0, weighted=False):
    random = np.random.default_rng(seed)
    codes = random.integers(0, classes, n).astype(np.int32)
    logits = random.normal(size=(n, classes))
    logits[np.arange(n), codes] += 1.0
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    weights = random.uniform(0.2, 3.0, n) if weighted else None
    names = tuple("abcdefghij"[:classes])
    return Outcome("multiclass", names, 0, codes, NONE, weights), Scored(p, p.argmax(axis=1).astype(np.int32))


def regression(n, seed=0, weighted=False):
    random = np.random.default_rng(seed)
    values = random.gamma(2.0, 5.0, n)
    predictions = values + random.normal(scale=3.0, size=n) + 0.5
    weights = random.uniform(0.2, 3.0, n) if weighted else None
    return Outcome("regression", (), 0, NO_CODES, values, weights), Scored(predictions, NO_CODES)


def by_random_groups(n, groups, seed=5):
    codes = np.random.default_rng(seed).integers(0, groups, n).astype(np.int32)
    return Slicing(("g",), codes, tuple({"g": str(i)} for i in range(groups)))


def by_mask(mask):
    """Return the slicing into rows where the mask is false and where it is true."""
    return Slicing(("m",), mask.astype(np.int32), ({"m": "false"}, {"m": "true"}))
