"""Exact merging of three parents: column generation, reduced-cost fixing, neighbourhoods, branch and bound.

1. Cyclic re-matching and a Lagrangian climb give a decision and prices.
2. Those prices choose the first columns of the linear relaxation; it prices in others until none is missing, so its
   bound holds for all clusters.
3. A cluster whose reduced cost exceeds the gap is in no better decision [1]. While too many are left, parts of the
   decision are solved anew to make the gap smaller.
4. Branch and bound over the clusters near the bound, then over those further off, until none is left that a better
   decision may have.

[1] L. A. Wolsey, "Integer Programming", 2nd edition, Wiley 2020, section 7.
"""

import math
import time

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.branching import BranchAndBound
from pam_opt_solvers.multi_pairing.column_lp import ColumnLp, safe_sum
from pam_opt_solvers.multi_pairing.cyclic import offer
from pam_opt_solvers.multi_pairing.diving import dive
from pam_opt_solvers.multi_pairing.lagrangian import Ascent
from pam_opt_solvers.multi_pairing.neighbourhoods import Neighbourhoods
from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.multi_pairing.triples import Prices, Triples
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import ALL_FEATURES, Solver

STARTS = 3
CLIMB_SHARE = 0.2
"""Share of the time that the climb may take."""
MOST_STEPS = 400
COLUMNS_PER_UNIT = 20
EASY = 5
"""Clusters left per unit at which branch and bound starts at once; else the gap is made smaller first, and it starts
with the decisions that so many clusters near the bound can make."""
MARGIN = 1e-9
"""Improvements of no more than this (of the largest cost) are not looked for."""
MOST_SURVIVORS = 60_000
"""Clusters left that branch and bound takes at all."""
MOST_IDLE = 15
"""Neighbourhoods without an improvement, beside one per dozen units, after which branch and bound starts anyway."""


class ColumnGeneration(Solver["Generation"]):
    """Merge three parents at least cost, proved; a decision with its bound at any time."""

    name = "column_generation"
    takes = frozenset({"multi_pairing"})
    backend = "ortools"
    module = "ortools.linear_solver.pywraplp"
    exact = True
    features = ALL_FEATURES - {Feature.WITHIN, Feature.TWO_PARENTS, Feature.MANY_PARENTS}
    description = "exact for three parents; columns, reduced-cost fixing, branch and bound; anytime"
    stops_itself = True

    def _build(self, problem: MultiPairing, options: Options) -> "Generation":
        return Generation(problem, Rematching(problem), Triples.of(problem))

    def _run(self, model: "Generation", problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        finished = model.run(search, np.random.default_rng(options.seed))
        error = 4 * MARGIN / model.rematching.scale + problem.float_error() if finished else 0.0
        return search.outcome(note=model.note, finished=finished, error=error)


class Generation(Ascent):
    """The state of one solve; values inside are scaled as in `Rematching`.

    Attributes
    ----------
    note : what branch and bound did
    nodes : of its trees
    """

    def __init__(self, problem: MultiPairing, rematching: Rematching, triples: Triples) -> None:
        super().__init__(problem, rematching, triples)
        self.note, self.nodes = "", 0
        self._lp: ColumnLp | None = None

    @property
    def dear(self) -> float:
        """More than any decision costs, even with one part of it at that price."""
        return 2.0 * self.problem.most_terms + 2.0

    def run(self, search: Search, rng: np.random.Generator) -> bool:
        """Search, and say whether the best decision is proved, or that there is none."""
        self.start(search, rng)
        if search.bound == math.inf:
            return True
        if search.over or self.prices is None:
            return False
        self.generate(search)
        if search.over or self._lp is None:
            return False
        for found in dive(self._lp, search.deadline):
            self.offer(search, found)
        return self._finish(search, rng)

    def start(self, search: Search, rng: np.random.Generator) -> None:
        """Find a decision by re-matching, and prices by the climb."""
        search.raise_bound(self.problem.trivial_bound())
        for start in range(STARTS):
            if search.decision is None or not search.over:
                order = (
                    np.argsort(self.problem.sizes, kind="stable") if start == 0 else self.rematching.random_order(rng)
                )
                offer(
                    search, self.rematching, self.rematching.polish(self.rematching.sequential(order), search.deadline)
                )
        stop = time.perf_counter() + CLIMB_SHARE * max(search.seconds_left, 0.0)
        self.climb(search, MOST_STEPS, stop)

    def _limit(self, search: Search) -> float:
        """Return the scaled value that a decision must beat: the best one's, or more than any has."""
        return self.value_of(search) if search.decision is not None else self.dear / 2

    def offer(self, search: Search, clusters: NDArray[np.int64]) -> bool:
        """Offer clusters (c, 3) after re-matching; units that they leave out join at random."""
        labels = self.problem.normalise(self._labels(clusters))
        return offer(search, self.rematching, self.rematching.polish(self.rematching.clusters(labels), search.deadline))

    def _labels(self, clusters: NDArray[np.int64]) -> NDArray[np.int64]:
        from pam_opt_solvers.multi_pairing.programs import labels_of

        return labels_of(self.triples.decode(self._filled(clusters), self.problem.n_units), self.problem.n_units)

    def _filled(self, clusters: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.triples.partial:
            return clusters
        full = clusters[(clusters < np.array(self.triples.sizes)).all(axis=1)]
        lacking = len(self.triples.ab) - len(full)
        free = [np.setdiff1d(np.arange(size), full[:, side])[:lacking] for side, size in enumerate(self.triples.sizes)]
        return np.concatenate([full, np.stack(free, axis=1)])

    def generate(self, search: Search) -> None:
        """Solve the linear relaxation over all clusters by adding columns of negative reduced cost."""
        assert self.prices is not None
        lp = self._lp = ColumnLp(self.triples.sizes, self.dear)
        first = self._cheapest(self.prices, COLUMNS_PER_UNIT * self.problem.n_units // 3)
        if search.decision is not None:
            first = np.concatenate([first, self._own(search)])
        lp.add(first, self.triples.costs(first))
        while not search.over:
            relaxed = lp.solve(np.arange(len(lp.costs)), search.seconds_left)
            if relaxed is None:
                return
            prices = lp.split(relaxed.prices)
            self.take(search, self.triples.settle(prices))
            missing = self._negative(prices)
            if not lp.add(missing, self.triples.costs(missing)):
                return

    def _own(self, search: Search) -> NDArray[np.int64]:
        assert search.decision is not None
        return self.triples.encode(search.decision)

    def _cheapest(self, prices: Prices, count: int) -> NDArray[np.int64]:
        """List at least about ``count`` clusters of least reduced cost."""
        limit, total = 1e-3, math.prod(size + 1 for size in self.triples.sizes)
        while True:
            found = self.triples.near(prices, limit, 8 * count + 1000)
            if found is None:
                limit /= 1.5
                found = self.triples.near(prices, limit, 10**9)
                assert found is not None
                return found
            if len(found) >= min(count, total) or limit > 2 * self.dear:
                return found
            limit *= 2.0

    def _negative(self, prices: Prices) -> NDArray[np.int64]:
        """List clusters of negative reduced cost, the most negative ones if they are many."""
        most, limit = 5 * self.problem.n_units + 1000, -1e-9
        found = self.triples.near(prices, limit, most)
        if found is None:
            lowest = min(
                float((new - old).min(initial=0.0))
                for new, old in zip(self.triples.settle(prices), prices, strict=True)
            )
            limit = lowest / 4
            while (found := self.triples.near(prices, limit, most)) is None:
                limit = (limit + lowest) / 2
                if limit - lowest < 1e-9:
                    most *= 2
        return found

    def _finish(self, search: Search, rng: np.random.Generator) -> bool:
        assert self.prices is not None
        areas, idle = Neighbourhoods(self.triples, self.prices, rng), 0
        patience = MOST_IDLE + self.problem.n_units // 12
        while search.decision is not None and idle < patience and not search.over:
            if self._left(self._gap(search), EASY * self.problem.n_units) is not None:
                break
            found = areas.improve(self._own(search), search.deadline)
            idle = 0 if found is not None and self.offer(search, found) else idle + 1
        return self._deepen(search)

    def _gap(self, search: Search) -> float:
        assert self.prices is not None
        return self._limit(search) - safe_sum(np.concatenate(self.prices))

    def _left(self, reach: float, most: int) -> NDArray[np.int64] | None:
        """List the clusters that a decision within ``reach`` of the bound may have, ``None`` if more than ``most``."""
        assert self.prices is not None
        return self.triples.near(self.prices, reach + MARGIN, most)

    def _deepen(self, search: Search) -> bool:
        """Branch over the clusters near the bound, then over those further off, until nothing better can be left."""
        most, reached = EASY * self.problem.n_units, 0.0
        while not search.over and most <= MOST_SURVIVORS:
            gap = reach = self._gap(search)
            while (left := self._left(reach, most)) is None and reach > MARGIN:
                reach *= 0.85
            most *= 2
            if left is None or (reach < 1.1 * reached and reach < gap):
                continue
            if not self._branch(search, left, reach):
                return False
            if reach >= gap or self._gap(search) <= reach:
                return True
            reached = reach
        return False

    def _branch(self, search: Search, left: NDArray[np.int64], reach: float) -> bool:
        """Search all decisions within ``reach`` of the bound, and say whether that was done."""
        assert self.prices is not None
        base = safe_sum(np.concatenate(self.prices))
        lp = ColumnLp(self.triples.sizes, self.dear)
        lp.add(left, self.triples.costs(left))
        tree = BranchAndBound(lp, base + reach, search.deadline, margin=MARGIN)
        complete = tree.run()
        self.nodes += tree.nodes
        self.note = f"{len(left)} clusters left after fixing, {self.nodes} nodes"
        if tree.best is not None:
            self.offer(search, tree.best)
        if math.isfinite(tree.bound) and search.decision is not None:
            search.raise_bound(min(search.value, self.unscaled(tree.bound)))
        return complete
