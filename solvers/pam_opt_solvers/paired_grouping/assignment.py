"""A paired grouping without budgets as an assignment, and linear budgets by prices around it.

Alone, a unit costs what its best group costs, so that a pair is worth ``pair_cost - best_i - best_j`` and the cheapest
pairs are one assignment. A linear budget moves into the costs at a price; the assignment's value less what the limits
cost at the prices bounds every decision, whatever the prices [1]_. One price after the other is raised by bisection to
the least at which its budget is kept, which for a single budget is the best bound there is.

.. [1] M. L. Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management Science
   27(1), 1981, doi:10.1287/mnsc.27.1.1.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.problems.paired_grouping import PairedGrouping
from pam_opt_solvers.search import Search

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

BISECTIONS = 30
"""Halvings of one price."""

DOUBLINGS = 80
"""Doublings of one price before its budget is taken to be out of its reach."""

SWEEPS = 4
"""Times that every price is found anew with the others as they are."""

START = 2.0**-20
"""First price of a whole limit, as a part of the largest cost."""


@dataclass(frozen=True, eq=False)
class Priced:
    """A paired grouping whose linear budgets have prices.

    Parameters
    ----------
    problem : its joint budgets are left out
    """

    problem: PairedGrouping

    @cached_property
    def kept(self) -> Indices:
        """(B,) the linear budgets that can break; one whose limit is 0 only forbids."""
        table = self.problem.linear
        most = (table.weights * table.rates.max(axis=1, initial=0.0)[:, None]).sum(axis=1)
        return np.flatnonzero((table.limits > 0) & (most > table.limits))

    @cached_property
    def loads(self) -> Floats:
        """(B, m + n, G + 1) the part of every limit that a unit uses in every column."""
        table = self.problem.linear
        weights = table.weights[self.kept] / table.limits[self.kept][:, None]
        return weights[:, :, None] * table.rates[self.kept][:, None, :]

    def use(self, decision: Indices) -> Floats:
        """Return (B,) the part of every limit that a decision uses."""
        columns = self.problem.columns(decision)
        return self.loads[:, np.arange(len(columns)), columns].sum(axis=1)

    def alone(self, prices: Floats, open_: Flags) -> Floats:
        """Return (m + n, G) costs and loads at the prices; +inf = not permitted, or not open."""
        problem = self.problem
        permitted = problem.permitted_alone & open_
        return np.where(permitted, problem.alone, np.inf) + np.tensordot(prices, self.loads[:, :, :-1], 1)

    def pair_cost(self, prices: Floats) -> Floats:
        """Return (m, n) costs and loads of pairs at the prices; +inf = not permitted."""
        problem = self.problem
        rows, loads = problem.pair_cost.shape[0], prices @ self.loads[:, :, -1]
        cost = np.where(problem.permitted_pairs, problem.pair_cost, np.inf)
        return cost + np.add.outer(loads[:rows], loads[rows:]) if len(prices) else cost

    def cheapest(self, prices: Floats, open_: Flags) -> tuple[Indices, float] | None:
        """Return the cheapest decision at prices (B,) and the lower bound that it proves; None where there is none.

        Parameters
        ----------
        open_ : (m + n, G), the groups that units may be in alone
        """
        alone, pair_cost = self.alone(prices, open_), self.pair_cost(prices)
        best = alone.min(axis=1, initial=np.inf)
        pairs = _cheapest_pairs(best, pair_cost)
        if pairs is None:
            return None
        single = np.ones(len(best), bool)
        single[pairs[:, 0]] = single[len(pair_cost) + pairs[:, 1]] = False
        paid = np.concatenate([best[single], pair_cost[pairs[:, 0], pairs[:, 1]], -prices])
        groups = alone.argmin(axis=1) if alone.shape[1] else np.zeros(len(best), np.int64)
        size = self.problem.float_error() + 16 * np.finfo(float).eps * float(np.abs(paid).sum())
        return self.problem.decision_of(groups, pairs), math.fsum(paid) - (size if len(prices) else 0.0)


def _cheapest_pairs(best: Floats, pair_cost: Floats) -> Indices | None:
    """Return as (k, 2) the cheapest pairs where units cost ``best`` alone, +inf = they must merge; None if there are
    none."""
    rows, columns = pair_cost.shape
    if np.isfinite(best).all():
        weights = pair_cost - best[:rows, None] - best[None, rows:]
        found = np.column_stack(matched(np.minimum(weights, 0.0)))
        return found[weights[found[:, 0], found[:, 1]] < 0]
    square = np.full((rows + columns,) * 2, np.inf)
    square[:rows, :columns] = pair_cost
    square[np.arange(rows), columns + np.arange(rows)] = best[:rows]
    square[rows + np.arange(columns), np.arange(columns)] = best[rows:]
    square[rows:, columns:] = 0.0
    try:
        found = np.column_stack(matched(square))
    except ValueError:  # no assignment avoids what is forbidden
        return None
    return found[(found[:, 0] < rows) & (found[:, 1] < columns)]


def within_budgets(priced: Priced, open_: Flags, search: Search, *, bounds: bool) -> tuple[Indices, Floats] | None:
    """Return a decision in open groups that keeps all linear budgets, and its prices (B,); None where none is found.

    Parameters
    ----------
    bounds : whether bounds at the prices hold for the problem: nothing is closed
    """
    prices = np.zeros(len(priced.kept))
    for _ in range(SWEEPS):
        decision = _evaluated(priced, prices, open_, search, bounds)
        if decision is None:
            return None
        broken = np.flatnonzero(priced.use(decision) > 1.0)
        if not len(broken):
            return decision, prices
        for budget in broken:
            prices[budget] = _least_price(priced, prices, int(budget), open_, search, bounds)
            if not math.isfinite(prices[budget]):
                return None
    decision = _evaluated(priced, prices, open_, search, bounds)
    return (decision, prices) if decision is not None and (priced.use(decision) <= 1.0).all() else None


def _evaluated(priced: Priced, prices: Floats, open_: Flags, search: Search, bounds: bool) -> Indices | None:
    found = priced.cheapest(prices, open_)
    if found is None:
        return None
    if bounds:
        search.raise_bound(found[1])
    return found[0]


def _least_price(priced: Priced, prices: Floats, budget: int, open_: Flags, search: Search, bounds: bool) -> float:
    """Return about the least price of a budget at which it is kept, the others as they are; +inf if none does."""

    def kept(price: float) -> bool:
        changed = prices.copy()
        changed[budget] = price
        decision = _evaluated(priced, changed, open_, search, bounds)
        return decision is not None and bool(priced.use(decision)[budget] <= 1.0)

    low, high = float(prices[budget]), START * (priced.problem.magnitude or 1.0)
    for _ in range(DOUBLINGS):
        if search.out_of_time:
            return math.inf
        if high > low and kept(high):
            break
        low, high = max(low, high), 2 * max(low, high)
    else:
        return math.inf
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if search.out_of_time:
            break
        low, high = (low, middle) if kept(middle) else (middle, high)
    return high
