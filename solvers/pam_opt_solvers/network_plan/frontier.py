"""The whole trade between loss and expected MACs in one call.

Prices of the loss find the plans on the lower convex hull of all (loss, MACs): between two neighbours there, the price
at which they are equally good either has a plan below their chord or proves that there is none [1]. Between neighbours
on the hull, plans under a budget are sought by branch and bound. Whatever is found, every price and every search leaves
a bound that all plans obey.

[1] Y. P. Aneja and K. P. K. Nair, "Bicriteria transportation problem", Management Science 25(1), 1979,
    doi:10.1287/mnsc.25.1.73.
"""

import heapq
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.network_plan.branch_and_bound import BranchAndBound
from pam_opt_solvers.options import Options
from pam_opt_solvers.problems.checks import as_count
from pam_opt_solvers.problems.network_plan import ROOM, NetworkPlan

Vector = NDArray[np.float64]

MOST_POINTS = 100_000
LEAST_AREA = 1e-9
"""Gaps below this part of the whole frontier's rectangle are left alone."""


@dataclass(frozen=True, eq=False)
class Frontier:
    """Plans of which none is better in both costs, and what is proven of all plans.

    Parameters
    ----------
    decisions : (P, L) int64, by rising loss and falling MACs
    loss, expected_macs : (P,) float64, the two costs of each
    on_hull : (P,) bool, whether a price of the loss made it the best
    prices, price_bounds : (T,) float64; every plan has ``expected_macs + price * loss >= price_bound``
    budgets, budget_bounds : (B,) float64; every plan that loses at most ``budget`` has ``expected_macs >= bound``
    """

    decisions: NDArray[np.int64]
    loss: Vector
    expected_macs: Vector
    on_hull: NDArray[np.bool_]
    prices: Vector
    price_bounds: Vector
    budgets: Vector
    budget_bounds: Vector

    def macs_bound(self, loss_budget: float) -> float:
        """Return a lower bound on the expected MACs of every plan that loses at most ``loss_budget``."""
        by_price = (self.price_bounds - self.prices * loss_budget).max(initial=-math.inf)
        by_budget = self.budget_bounds[self.budgets >= loss_budget].max(initial=-math.inf)
        return float(max(by_price, by_budget))

    @property
    def gaps(self) -> Vector:
        """(P,) float64: how far each plan's MACs may be above the least for its loss, as a part of its own."""
        bounds = np.array([self.macs_bound(loss) for loss in self.loss])
        return np.maximum(0.0, self.expected_macs - bounds) / np.maximum(self.expected_macs, 1e-300)

    def best(self, loss_budget: float) -> NDArray[np.int64] | None:
        """Return the cheapest plan found that loses at most ``loss_budget``; None = none does."""
        fitting = np.flatnonzero(self.loss <= loss_budget)
        return self.decisions[fitting[-1]] if len(fitting) else None


def network_frontier(problem: NetworkPlan, points: int = 33, *, time_limit: float = 60.0) -> Frontier:
    """Return up to ``points`` plans from least loss to least MACs, the widest gaps filled first.

    Parameters
    ----------
    problem : its own budget plays no part
    points : most plans to find, >= 2
    time_limit : seconds

    Raises
    ------
    ProblemError
        for less than two points, a limit that is not above 0, or a layer whose options are all forbidden

    Examples
    --------
    >>> curve = np.array([0.0, 1.0, 4.0])
    >>> plan = NetworkPlan.of_two_parents([(2, 2)], [curve], [1.0, 1.0], 1, (1, 1), loss_budget=0.0)
    >>> network_frontier(plan).loss.tolist()
    [0.0, 1.0, 4.0]
    """
    if as_count(points, "points", MOST_POINTS) < 2:
        raise ProblemError(f"points is {points}; a frontier has at least 2")
    seconds = Options(time_limit=time_limit).time_limit
    barred = [layer for layer, loss in enumerate(problem.loss) if np.isinf(loss).all()]
    if barred:
        raise ProblemError(f"every option of layer {barred[0]} is forbidden; there is no plan")
    plain = replace(problem, loss_budget=0.0, macs_budget=None)
    search = _Search(plain, points, time.perf_counter() + (math.inf if seconds is None else seconds))
    search.run()
    return search.frontier()


@dataclass(frozen=True, eq=False)
class _Plan:
    loss: float
    macs: float
    decision: NDArray[np.int64]
    on_hull: bool


@dataclass(frozen=True, eq=False)
class _Gap:
    """Two neighbouring plans; below the loss ``searched`` there is nothing between them, or they are on one chord."""

    left: _Plan
    right: _Plan
    searched: float
    below_chord: bool = True  # a plan below the chord is still possible

    @property
    def area(self) -> float:
        return (self.right.loss - self.searched) * (self.left.macs - self.right.macs)


class _Search:
    """The plans so far, the gaps between them by size, and the bounds."""

    def __init__(self, problem: NetworkPlan, points: int, deadline: float) -> None:
        self.problem, self.points, self.deadline = problem, points, deadline
        self.plans: dict[tuple[float, float], _Plan] = {}
        self.by_price: list[tuple[float, float]] = []
        self.by_budget: list[tuple[float, float]] = []
        self.gaps: list[tuple[float, int, _Gap]] = []
        self.pushed = 0

    def run(self) -> None:
        """Fill gaps, the largest first, until there are enough plans, no gaps or no time."""
        if not self.problem.n_layers:
            self._keep(np.zeros(0, np.int64), on_hull=True)
            return
        layers = self.problem.layers
        left = self._keep(layers.options(layers.spent.best()[1]), on_hull=True)
        right = self._priced(0.0)
        whole = _Gap(left, right, left.loss)
        least = LEAST_AREA * whole.area
        self._push(whole)
        while self.gaps and len(self.plans) < self.points and time.perf_counter() < self.deadline:
            gap = heapq.heappop(self.gaps)[2]
            if gap.area <= least:
                break
            for part in self._by_chord(gap) if gap.below_chord else self._by_budget(gap):
                self._push(part)

    def _push(self, gap: _Gap) -> None:
        self.pushed += 1
        if gap.area > 0:
            heapq.heappush(self.gaps, (-gap.area, self.pushed, gap))

    def _keep(self, decision: NDArray[np.int64], *, on_hull: bool) -> _Plan:
        plan = _Plan(self.problem.total_loss(decision), self.problem.expected_macs(decision), decision, on_hull)
        return self.plans.setdefault((plan.loss, plan.macs), plan)

    def _priced(self, price: float) -> _Plan:
        """Return the best plan for a price in MACs per loss, and keep its bound."""
        layers = self.problem.layers
        chain = layers.priced(price * layers.spent_unit / layers.unit)
        least, path = chain.best()
        self.by_price.append((price, (least - chain.error) * layers.unit))
        return self._keep(layers.options(path), on_hull=True)

    def _by_chord(self, gap: _Gap) -> Iterator[_Gap]:
        """Look below the chord of two plans on the hull."""
        left, right = gap.left, gap.right
        middle = self._priced((left.macs - right.macs) / (right.loss - left.loss))
        if (
            left.loss <= middle.loss <= right.loss
            and left.macs >= middle.macs >= right.macs
            and middle not in (left, right)
        ):
            yield _Gap(left, middle, left.loss)
            yield _Gap(middle, right, middle.loss)
        else:
            yield replace(gap, below_chord=False)

    def _by_budget(self, gap: _Gap) -> Iterator[_Gap]:
        """Look for the cheapest plan in the lower half of a gap, then for one just below the right end."""
        budget = (gap.searched + gap.right.loss) / 2
        if gap.searched > gap.left.loss:  # the lower half is searched
            budget = gap.right.loss - 2 * ROOM * abs(gap.right.loss)
        left_seconds = self.deadline - time.perf_counter()
        if not gap.searched < budget < gap.right.loss or left_seconds <= 0:
            return
        problem = replace(self.problem, loss_budget=budget)
        limit = left_seconds / (self.points - len(self.plans)) if math.isfinite(left_seconds) else None
        outcome = BranchAndBound().compute(problem, Options(time_limit=limit))
        if outcome.bound > -math.inf:
            self.by_budget.append((budget, outcome.bound))
        found = gap.left if outcome.decision is None else self._keep(outcome.decision, on_hull=False)
        if gap.left.macs > found.macs > gap.right.macs:
            yield _Gap(gap.left, found, gap.searched, below_chord=False)
            yield _Gap(found, gap.right, max(budget, found.loss), below_chord=False)
        elif gap.searched == gap.left.loss:
            yield replace(gap, searched=budget)

    def frontier(self) -> Frontier:
        """Return the plans that no other one is as good as, with all bounds."""
        best: list[_Plan] = []
        for plan in sorted(self.plans.values(), key=lambda plan: (plan.loss, plan.macs)):
            if not best or plan.macs < best[-1].macs:
                best.append(plan)
        prices, price_bounds = np.array(self.by_price, np.float64).reshape(-1, 2).T
        budgets, budget_bounds = np.array(self.by_budget, np.float64).reshape(-1, 2).T
        return Frontier(
            np.array([plan.decision for plan in best]).reshape(len(best), -1),
            np.array([plan.loss for plan in best]),
            np.array([plan.macs for plan in best]),
            np.array([plan.on_hull for plan in best]),
            prices,
            price_bounds,
            budgets,
            budget_bounds,
        )
