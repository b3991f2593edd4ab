"""Greedy clusters: the best two free units, then the unit that suits them best, until a cluster is full; again.

For two parents with ``within`` this is what ZipIt! does [1].

[1] Stoica et al., "ZipIt! Merging Models from Different Tasks without Training", ICLR 2024, arXiv:2305.03053.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.programs import labels_of
from pam_opt_solvers.multi_pairing.rematching import scale_of
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Vector = NDArray[np.float64]


class Greedy(Solver[Vector]):
    """Make one cluster after another, each from the best that is left."""

    name = "greedy"
    takes = frozenset({"multi_pairing"})
    exact = False
    description = "greedy; cluster after cluster from the best pair left; takes everything"

    def _build(self, problem: MultiPairing, options: Options) -> Vector:
        return problem.merging * scale_of(problem)

    def _run(self, model: Vector, problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        labels = labels_of(Growth(model, problem).clusters(), problem.n_units)
        if not problem.violations(labels):
            search.offer(labels)
        return search.outcome()


class Growth:
    """Clusters under way.

    Parameters
    ----------
    cost : (N, N) scaled costs, +inf = never together
    problem : what is decided
    """

    def __init__(self, cost: Vector, problem: MultiPairing) -> None:
        self.cost, self.problem = cost, problem
        alone = problem.alone * scale_of(problem)
        self.pair = cost - alone[:, None] - alone
        self.alone = alone
        self._row_best = self.pair.min(axis=1, initial=np.inf)
        self.free = np.ones(problem.n_units, bool)

    def clusters(self) -> NDArray[np.int64]:
        """Return the clusters (c, K), -1 = none; units in none of them are alone."""
        most = self.problem.n_units if self.problem.required is None else self.problem.required
        rows = []
        for _ in range(most):
            members = self._next()
            if not members:
                break
            rows.append(members + [-1] * (self.problem.n_parents - len(members)))
        return np.array(rows, np.int64).reshape(-1, self.problem.n_parents)

    @property
    def _limit(self) -> float:
        return 0.0 if self.problem.required is None else np.inf

    def _next(self) -> list[int]:
        first = int(self._row_best.argmin()) if len(self._row_best) else 0
        if not len(self._row_best) or not self._row_best[first] < self._limit:
            return []
        members = [first, int(self.pair[first].argmin())]
        while len(members) < self.problem.n_parents:
            added = np.where(self.free, self.cost[members].sum(axis=0) - self.alone, np.inf)
            added[members] = np.inf
            best = int(added.argmin())
            if not added[best] < self._limit:
                break
            members.append(best)
        self._take(members)
        return members

    def _take(self, members: list[int]) -> None:
        self.free[members] = False
        self.pair[members, :] = np.inf
        self.pair[:, members] = np.inf
        self._row_best = self.pair.min(axis=1, initial=np.inf)
