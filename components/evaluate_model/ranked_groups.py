"""Groups of rows ranked by score, for the ranking metrics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.components.evaluate_model import ranking
from penstock.components.evaluate_model.outcomes import Counts, Floats, Rows, Scored
from penstock.components.row_slices.slices import Slicing


class RankedGroups:
    """The rows of each group by descending score; sorted once for all groups."""

    def __init__(
        self, scored: Scored, column: int, positive: NDArray[np.bool_], weights: Floats, slicing: Slicing
    ) -> None:
        codes, groups = slicing.codes, len(slicing.values)
        scores = scored.scores if scored.scores.ndim == 1 else scored.scores[:, column]
        by_score = scored.order[column]
        if groups > 1:
            key = codes.astype(np.int16) if groups < 2**15 else codes  # 16 bits: numpy sorts them by radix
            by_score = by_score[np.argsort(key[by_score], kind="stable")]
        self.order = by_score
        self.ends = np.cumsum(np.bincount(codes, minlength=groups))
        self._scores, self._positive, self._weights = scores, positive, weights
        self._last: dict[int, ranking.Ranked] = {}

    def rows(self, group: int) -> Rows:
        """Return the indices of a group's rows, highest score first."""
        start = int(self.ends[group - 1]) if group else 0
        return self.order[start : int(self.ends[group])]

    def ranked(self, group: int) -> ranking.Ranked:
        """Return a group's rows, ranked; the group asked for last is kept."""
        if group not in self._last:
            rows = self.rows(group)
            ranked = ranking.rank(self._scores[rows], self._positive[rows], self._weights[rows])
            self._last = {group: ranked}
        return self._last[group]

    def in_order_of(self, group: int, values: Floats, rows: Rows) -> Floats:
        """Return values given in ranked order in the order of `rows`, which are those of the group."""
        everywhere = np.empty(len(self.order))
        everywhere[self.rows(group)] = values
        return everywhere[rows]


class BinCells:
    """Cells (group, bin, class) for the ranking metrics of chosen groups.

    Args:
        groups: All groups.
        chosen: Those to be resampled.
        rows: Number of rows of all groups.
        called: (rows,) whether a row is called positive, where that follows from its score; None: unknown.
    """

    def __init__(
        self, groups: RankedGroups, chosen: Sequence[int], rows: int, called: NDArray[np.bool_] | None = None
    ) -> None:
        self.at = np.full(rows, -1, np.int32)
        self.bins: list[ranking.Bins] = []
        self.starts: list[int] = []
        self.size = 0
        for group in chosen:
            ranked, inside = groups.ranked(group), groups.rows(group)
            bins = ranking.make_bins(ranked, 0 if called is None else int(called[inside].sum()))
            self.at[inside] = self.size + 2 * bins.of_row + ranked.positive
            self.bins.append(bins)
            self.starts.append(self.size)
            self.size += 2 * bins.count

    def curves(self, sums: Counts, group: int) -> ranking.Curves:
        """Return the curves of each resample in the group-th of the chosen groups."""
        start = self.starts[group]
        end = start + 2 * self.bins[group].count
        return ranking.Curves(sums[start + 1 : end : 2], sums[start:end:2])
