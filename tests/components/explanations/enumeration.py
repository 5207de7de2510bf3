"""Shapley values by their definition: all coalitions, all background rows. For a handful of inputs."""

import itertools
import math

import numpy as np


def exact(predict, columns, background):
    """Return (n, m, k) attributions."""
    names = list(background)
    m, rows, size = len(names), len(columns[names[0]]), len(background[names[0]])

    def worth(taken, row):
        mixed = {
            name: np.repeat(columns[name][row : row + 1], size) if name in taken else background[name]
            for name in names
        }
        return np.asarray(predict(mixed), float).reshape(size, -1).mean(axis=0)

    found = []
    for row in range(rows):
        value = {
            frozenset(taken): worth(taken, row)
            for count in range(m + 1)
            for taken in itertools.combinations(names, count)
        }
        for name in names:
            others = [other for other in names if other != name]
            found.append(
                sum(
                    (value[frozenset({*taken, name})] - value[frozenset(taken)])
                    * (math.factorial(count) * math.factorial(m - count - 1) / math.factorial(m))
                    for count in range(m)
                    for taken in itertools.combinations(others, count)
                )
            )
    return np.array(found).reshape(rows, m, -1)
