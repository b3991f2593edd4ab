"""Exact plans by branch and bound: a layer's options are halved, and the relaxed budget bounds what is left [1].

Where the best price has a path inside the budget and one outside, the layer in which they differ most is split between
its two options. Before that, every option is dropped for which even the cheapest relaxed path through it is no better
than the best plan so far (reduced-cost fixing).

[1] M. L. Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management Science
    27(1), 1981, doi:10.1287/mnsc.27.1.1.
"""

import heapq
import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from pam_opt_solvers.network_plan.chain import Indices
from pam_opt_solvers.network_plan.costs import Layers
from pam_opt_solvers.network_plan.dual import Dual, Point, maximise
from pam_opt_solvers.network_plan.greedy import climbed
from pam_opt_solvers.network_plan.improve import improved
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.network_plan import NetworkPlan
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

HELP_AFTER = 32
"""Nodes after which heuristics look for a better plan, once: most trees are done by then."""


@dataclass(order=True)
class _Node:
    """A part of the plans, whose optimum is open.

    Parameters
    ----------
    bound, order : to take the lowest bound first, and the oldest of equals
    layers : costs of the options that were left when its bound was found
    dual : that bound, and the two paths that it lies between
    kept : positions of the options that are left since, in every layer
    """

    bound: float
    order: int
    layers: Layers = field(compare=False)
    dual: Dual = field(compare=False)
    kept: list[Indices] = field(compare=False)

    def halves(self) -> list[Layers]:
        """Split the layer in which the two paths differ most; a half without options is left out."""
        assert self.dual.inside is not None
        assert self.dual.outside is not None
        inside, outside = self.dual.inside.path, self.dual.outside.path
        layer = _most_different(self.layers, self.dual.price, inside, outside)
        middle = (inside[layer] + outside[layer]) // 2
        found = []
        for side in (self.kept[layer] <= middle, self.kept[layer] > middle):
            if side.any():
                kept = [*self.kept[:layer], self.kept[layer][side], *self.kept[layer + 1 :]]
                found.append(self.layers.restrict(kept))
        return found


def _most_different(layers: Layers, price: float, inside: Indices, outside: Indices) -> int:
    """Return the layer in which replacing the one option by the other changes the spending most."""
    moved = [-1.0] * len(inside)
    for layer in np.flatnonzero(inside != outside).tolist():
        costs = layers.spent.around(inside, layer)
        moved[layer] = float(abs(costs[inside[layer]] - costs[outside[layer]]))
    return int(np.argmax(moved))


class _Tree:
    """The open nodes, and the lowest bound of those that are closed."""

    def __init__(self, layers: Layers, search: Search) -> None:
        self.search, self.root, self.unit = search, layers, layers.unit
        self.open: list[_Node] = []
        self.closed_bound = math.inf
        self.order = itertools.count()
        self.helped = False

    @property
    def target(self) -> float:
        """What a node must be able to beat, in the unit of the chains."""
        if self.search.decision is None:
            return math.inf
        return (self.search.value - self.search.tolerance * abs(self.search.value)) / self.unit

    def offer(self, layers: Layers, point: Point) -> None:
        """Offer a path that meets the budget up to rounding."""
        if point.objective * self.unit < self.search.value:
            decision = layers.options(point.path)
            if not self.search.problem.violations(decision):
                self.search.offer(decision)

    def add(self, layers: Layers, price: float, known: float) -> None:
        """Bound a part of the plans; it stays open if it may hold a better one."""
        dual = maximise(layers, price, self.target, lambda point: self.offer(layers, point))
        bound, order = max(known, dual.bound), next(self.order)
        if bound >= self.target or dual.inside is None or dual.outside is None:
            self.closed_bound = min(self.closed_bound, bound)
            return
        kept = self._not_worse(layers, dual.price)
        if all(len(left) for left in kept):
            heapq.heappush(self.open, _Node(bound, order, layers, dual, kept))
        else:
            self.closed_bound = min(self.closed_bound, self.target)

    def _not_worse(self, layers: Layers, price: float) -> list[Indices]:
        chain = layers.priced(price)
        most = self.target + price * layers.allowed + chain.error
        return [np.flatnonzero(least < most) for least in chain.marginals()]

    def run(self) -> None:
        """Split the node of the lowest bound until none is open, or time is up."""
        while self.open and not self.search.over:
            node = heapq.heappop(self.open)
            self.raise_bound(node.bound)
            if node.bound >= self.target:
                self.closed_bound = min(self.closed_bound, node.bound)
                continue
            for half in node.halves():
                self.add(half, node.dual.price, node.bound)
            if not self.helped and node.order >= HELP_AFTER:
                self.helped = True
                self.help()
        self.raise_bound(self.open[0].bound if self.open else math.inf)

    def help(self) -> None:
        """Offer greedy's plan, and what local search makes of it and of the best one: no worse than either, then."""
        if self.search.decision is None:
            return
        starts = [self.root.path(self.search.decision)]
        cheapest = self.root.spent.best()[1]
        if self.root.spent.cost(cheapest) <= self.root.allowed:
            starts.append(climbed(self.root, cheapest, lambda: self.search.out_of_time))
        for start in starts:
            self.offer(self.root, Point.of(self.root, start))
            self.offer(self.root, Point.of(self.root, improved(self.root, start, lambda: self.search.over)))

    def raise_bound(self, least_open: float) -> None:
        """Pass on what the open and the closed nodes show together."""
        self.search.raise_bound(min(min(least_open, self.closed_bound) * self.unit, self.search.value))


class BranchAndBound(Solver[Layers]):
    """Halve the options until bound and plan meet."""

    name = "branch_and_bound"
    takes = frozenset({"network_plan"})
    exact = True
    description = "exact; halves a layer's options, bounds by dynamic programming with a price on the budget; anytime"
    stops_itself = True

    def _build(self, problem: NetworkPlan, options: Options) -> Layers:
        return problem.layers

    def _run(self, model: Layers, problem: NetworkPlan, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        if problem.certainly_feasible():
            search.offer(problem.least_spending)
        tree = _Tree(model, search)
        tree.add(model, 1.0, -math.inf)
        tree.run()
        note = f"{next(tree.order)} nodes"
        if search.decision is None:
            return search.outcome(note, finished=not tree.open and tree.closed_bound == math.inf)
        return search.outcome(note, finished=not tree.open, error=max(0.0, search.value - search.bound))
