"""Places the nodes of a directed acyclic graph in rows, so that edges run downwards and cross little.

Method: layering by longest path, sources moved down to their first use, one dummy node for each row that an
edge passes, order within rows by the mean position of neighbours (Sugiyama, Tagawa, Toda 1981).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

SWEEPS = 8  # down and up in turn; the order is stable long before


@dataclass(frozen=True)
class Layout:
    """Rows of nodes, and for each edge the nodes it passes, dummies included."""

    rows: list[list[str]]
    paths: dict[tuple[str, str], list[str]]

    def is_dummy(self, node: str) -> bool:
        """Tell whether a node only marks where an edge passes a row."""
        return "\0" in node


def layout(upstream: Mapping[str, Sequence[str]]) -> Layout:
    """Return the rows of a graph given by what each node follows; the order of the mapping breaks ties."""
    edges = reduced(upstream)
    depth: dict[str, int] = {}
    for node in upstream:  # given in an order in which they can run
        depth[node] = max((depth[above] + 1 for above in edges[node]), default=0)
    for node in upstream:
        below = [depth[other] for other in upstream if node in edges[other]]
        if not edges[node] and below:
            depth[node] = max(0, min(below) - 1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in upstream:
        rows[depth[node]].append(node)
    paths = {}
    neighbours: dict[str, tuple[list[str], list[str]]] = {node: ([], []) for node in upstream}
    for node, above in edges.items():
        for start in above:
            path = [start]
            for row in range(depth[start] + 1, depth[node]):
                dummy = f"{start}\0{node}\0{row}"
                rows[row].append(dummy)
                neighbours[dummy] = ([], [])
                path.append(dummy)
            path.append(node)
            for one, other in itertools.pairwise(path):
                neighbours[other][0].append(one)
                neighbours[one][1].append(other)
            paths[start, node] = path
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for number in range(len(rows)) if downwards else reversed(range(len(rows))):
            fixed = number - 1 if downwards else number + 1
            if 0 <= fixed < len(rows):
                place = _places(rows[fixed])
                here = _places(rows[number])

                def mean(node: str, side: int = 0 if downwards else 1) -> float:
                    known = [place[other] for other in neighbours[node][side] if other in place]  # noqa: B023
                    return fmean(known) if known else here[node]  # noqa: B023

                rows[number] = sorted(rows[number], key=mean)
    return Layout(rows, paths)


def reduced(upstream: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the edges without those that a longer way implies."""
    above: dict[str, set[str]] = {}
    for node, direct in upstream.items():
        above[node] = {other for one in direct if one in above for other in {one, *above[one]}}
    return {
        node: [
            one
            for one in dict.fromkeys(direct)
            if one in above
            and not any(one in above[other] for other in direct if other != one and other in above)
        ]
        for node, direct in upstream.items()
    }


def _places(row: Sequence[str]) -> dict[str, float]:
    """Return the position of each node of a row, the row's middle at 0."""
    return {node: index - (len(row) - 1) / 2 for index, node in enumerate(row)}
