"""Large neighbourhoods: take some clusters apart and put their units together anew by a short branch and bound.

Clusters that cost most above the prices of their units are taken most often; those whose units are near each other in
reduced cost are taken together.
"""

import time

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.branching import BranchAndBound
from pam_opt_solvers.multi_pairing.column_lp import ColumnLp
from pam_opt_solvers.multi_pairing.triples import Prices, Triples

CLUSTERS = 40
MOST_COLUMNS = 1500
MOST_NODES = 25


class Neighbourhoods:
    """Improve decisions part by part.

    Parameters
    ----------
    triples : the problem
    prices : of its units, at which no reduced cost is negative
    rng : what is chosen at random
    """

    def __init__(self, triples: Triples, prices: Prices, rng: np.random.Generator) -> None:
        self.triples, self.prices, self.rng = triples, prices, rng

    def improve(self, clusters: NDArray[np.int64], deadline: float) -> NDArray[np.int64] | None:
        """Solve one neighbourhood of a decision (c, 3); return the better decision, ``None`` if there is none."""
        chosen = self._choose(clusters)
        old = clusters[chosen]
        part, at = self.triples.among(old)
        found = self._solve(part, at, old, min(deadline, time.perf_counter() + 5.0))
        if found is None:
            return None
        renamed = np.stack(
            [np.append(own, none)[np.minimum(column, len(own))] for own, none, column in
             zip(at, self.triples.sizes, found.T, strict=True)], axis=1)  # fmt: skip
        return np.concatenate([np.delete(clusters, chosen, axis=0), renamed])

    def _choose(self, clusters: NDArray[np.int64]) -> NDArray[np.int64]:
        reduced = np.maximum(self.triples.reduced(clusters, self.prices), 0.0)
        weight = reduced + reduced.mean() * 0.3 + 1e-12
        count = min(CLUSTERS, len(clusters))
        return self.rng.choice(len(clusters), count, replace=False, p=weight / weight.sum())

    def _solve(
        self, part: Triples, at: tuple[NDArray[np.int64], ...], old: NDArray[np.int64], deadline: float
    ) -> NDArray[np.int64] | None:
        u, v, w = (price[own] for price, own in zip(self.prices, at, strict=True))
        value = float(self.triples.costs(old).sum())
        limit = value - float(u.sum() + v.sum() + w.sum())
        columns = part.near((u, v, w), limit, 10**7)
        if columns is None or not len(columns):
            return None
        reduced = part.reduced(columns, (u, v, w))
        if len(columns) > MOST_COLUMNS:
            columns = columns[np.argpartition(reduced, MOST_COLUMNS)[:MOST_COLUMNS]]
        lp = ColumnLp(part.sizes, 2.0 * abs(value) + 6.0 * len(old) + 2.0)
        lp.add(columns, part.costs(columns))
        tree = BranchAndBound(lp, value, deadline, MOST_NODES, 1e-9 * max(1.0, abs(value)), depth_first=True)
        tree.run()
        return tree.best
