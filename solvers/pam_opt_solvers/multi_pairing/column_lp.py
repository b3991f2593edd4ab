"""The linear relaxation of set partitioning over a growing set of clusters, solved again from the last basis (GLOP).

Artificial columns at a price above any decision keep it feasible: where one is used, no decision of the permitted
clusters exists.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.triples import Prices

Vector = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Optimum of the relaxation.

    Parameters
    ----------
    bound : true lower bound on every decision that uses permitted clusters only
    share : (p,) how much each permitted cluster is used
    reduced : (p,) reduced cost of each permitted cluster, none negative
    prices : (sum of sizes,) price of every unit
    whole : whether shares are 0 or 1 and no artificial column is used
    """

    bound: float
    share: Vector
    reduced: Vector
    prices: Vector
    whole: bool


class ColumnLp:
    """Set partitioning over clusters (c, 3), relaxed.

    Parameters
    ----------
    sizes : units of the three parents
    dear : cost above that of any decision
    """

    def __init__(self, sizes: tuple[int, int, int], dear: float) -> None:
        from ortools.linear_solver import pywraplp

        self.sizes, self.dear = sizes, dear
        self.first = np.array([0, sizes[0], sizes[0] + sizes[1]])
        self.n_rows = sum(sizes)
        self.clusters, self.costs = np.zeros((0, 3), np.int64), np.zeros(0)
        self.rows = np.zeros((0, 3), np.int64)
        self._known: set[int] = set()
        self._solver: Any = pywraplp.Solver.CreateSolver("GLOP")
        self._solver.SetSolverSpecificParametersAsString("use_dual_simplex:true use_preprocessing:false")
        self._constraints = [self._solver.Constraint(1.0, 1.0) for _ in range(self.n_rows)]
        self._objective = self._solver.Objective()
        self._objective.SetMinimization()
        self._variables: list[Any] = []
        self._artificial = [self._variable(dear, [row]) for row in range(self.n_rows)]
        self._open = np.zeros(0, bool)

    def _variable(self, cost: float, rows: list[int]) -> Any:
        variable = self._solver.NumVar(0.0, self._solver.infinity(), "")
        self._objective.SetCoefficient(variable, cost)
        for row in rows:
            self._constraints[row].SetCoefficient(variable, 1.0)
        return variable

    def add(self, clusters: Index, costs: Vector) -> int:
        """Add clusters that are not there yet, and say how many those are."""
        b, c = self.sizes[1] + 1, self.sizes[2] + 1
        keys = ((clusters[:, 0] * b + clusters[:, 1]) * c + clusters[:, 2]).tolist()
        new = [at for at, key in enumerate(keys) if key not in self._known]
        self._known.update(keys)
        rows = np.where(clusters < np.array(self.sizes), clusters + self.first, self.n_rows)
        for at in new:
            self._variables.append(
                self._variable(float(costs[at]), [row for row in rows[at].tolist() if row < self.n_rows])
            )
        self.clusters = np.concatenate([self.clusters, clusters[new]])
        self.costs = np.concatenate([self.costs, costs[new]])
        self.rows = np.concatenate([self.rows, rows[new]])
        self._open = np.concatenate([self._open, np.ones(len(new), bool)])
        return len(new)

    def keep(self, chosen: NDArray[np.bool_]) -> "ColumnLp":
        """Return a new relaxation of some of the clusters."""
        smaller = ColumnLp(self.sizes, self.dear)
        smaller.add(self.clusters[chosen], self.costs[chosen])
        return smaller

    def solve(self, permitted: Index, seconds: float = np.inf) -> Relaxed | None:
        """Solve over the clusters of these numbers; ``None`` if the time was too short."""
        if seconds <= 0:
            return None
        wanted = np.zeros(len(self._open), bool)
        wanted[permitted] = True
        infinity = self._solver.infinity()
        for at in np.flatnonzero(wanted != self._open).tolist():
            self._variables[at].SetUb(infinity if wanted[at] else 0.0)
        self._open = wanted
        self._solver.SetTimeLimit(max(1, int(min(seconds, 1e6) * 1000)))
        if self._solver.Solve() != self._solver.OPTIMAL:
            return None
        return self._read(permitted)

    def _read(self, permitted: Index) -> Relaxed:
        variables = self._variables
        share = np.array([variables[at].solution_value() for at in permitted.tolist()])
        prices = np.array([row.dual_value() for row in self._constraints] + [0.0])
        rows = self.rows[permitted]
        reduced = self.costs[permitted] - prices[rows].sum(axis=1)
        # The solver's tolerance leaves reduced costs just below 0: the unit of each such cluster in its first parent
        # with one pays for it, which makes the prices a true bound.
        payer = rows.min(axis=1)
        np.minimum.at(prices, payer, prices[payer] + np.minimum(reduced, 0.0))
        prices[:-1] = np.minimum(prices[:-1], self.dear)
        reduced = np.maximum(self.costs[permitted] - prices[rows].sum(axis=1), 0.0)
        used = sum(variable.solution_value() for variable in self._artificial)
        whole = used < 1e-6 and bool((np.abs(share - np.rint(share)) < 1e-6).all())
        return Relaxed(safe_sum(prices[:-1]), share, reduced, prices[:-1], whole)

    def split(self, prices: Vector) -> Prices:
        """Return the prices of each parent."""
        a, b, c = np.split(prices, self.first[1:])
        return a, b, c


def safe_sum(prices: Vector) -> float:
    """Return a sum of prices less its worst rounding, and that of the reduced costs that they leave."""
    eps = float(np.finfo(np.float64).eps)
    return float(prices.sum()) - 16 * eps * (float(np.abs(prices).sum()) + len(prices))
