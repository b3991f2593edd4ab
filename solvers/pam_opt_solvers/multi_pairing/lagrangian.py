"""Lagrangian relaxation of three parents with assignment inside: a decision and a bound that improve until the end.

See `relaxation`. Every tenth step its pairs, with their best third units, are re-matched to a decision.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.column_lp import safe_sum
from pam_opt_solvers.multi_pairing.cyclic import offer
from pam_opt_solvers.multi_pairing.relaxation import Climb, Relaxation
from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.multi_pairing.triples import Prices, Triples
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import ALL_FEATURES, Solver

MOST_STEPS = 1000
PRIMAL_EVERY = 10
BOUND_EVERY = 50


class Lagrangian(Solver["Ascent"]):
    """Climb to the bound of the linear relaxation, and keep the best decision met on the way."""

    name = "lagrangian"
    takes = frozenset({"multi_pairing"})
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    features = ALL_FEATURES - {Feature.WITHIN, Feature.TWO_PARENTS, Feature.MANY_PARENTS}
    description = "Lagrangian relaxation of three parents; decision and bound at any time"
    stops_itself = True

    def _build(self, problem: MultiPairing, options: Options) -> "Ascent":
        return Ascent(problem, Rematching(problem), Triples.of(problem))

    def _run(self, model: "Ascent", problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        search.raise_bound(problem.trivial_bound())
        model.sequential(search)
        model.climb(search, MOST_STEPS, search.deadline)
        return search.outcome(finished=search.bound == math.inf)


class Ascent:
    """The climb on one problem; values inside are scaled as in `Rematching`.

    Parameters
    ----------
    problem : three parents
    rematching, triples : two views of it

    Attributes
    ----------
    prices : settled prices of the best bound so far
    """

    def __init__(self, problem: MultiPairing, rematching: Rematching, triples: Triples) -> None:
        self.problem, self.rematching, self.triples = problem, rematching, triples
        self.prices: Prices | None = None
        self._tried = -math.inf

    def sequential(self, search: Search) -> None:
        """Offer the sequential matching, polished."""
        order = np.argsort(self.problem.sizes, kind="stable")
        offer(search, self.rematching, self.rematching.polish(self.rematching.sequential(order), search.deadline))

    def climb(self, search: Search, most_steps: int, stop: float) -> None:
        """Climb until the steps are too short to matter, the gap is closed, or ``stop`` (of `time.perf_counter`)."""
        import time

        relaxation = Relaxation(self.triples)
        climb = Climb(relaxation, np.zeros(self.triples.sizes[2]))
        for step in range(most_steps):
            found = climb.step(self._target(search, climb.bound))
            if found.value == math.inf:
                search.raise_bound(math.inf)
                return
            if step % PRIMAL_EVERY == 0:
                self.try_pairs(search, found.pairs)
            if step % BOUND_EVERY == BOUND_EVERY - 1:
                self.take(search, relaxation.prices(climb.best))
            if climb.tired or search.closed or time.perf_counter() >= stop:
                break
        self.take(search, relaxation.prices(climb.best))

    def _target(self, search: Search, bound: float) -> float:
        if search.decision is not None:
            return self.value_of(search)
        return bound + 0.1 * abs(bound) if math.isfinite(bound) else 1.0

    def value_of(self, search: Search) -> float:
        """Return the scaled value of the best decision."""
        return search.value * self.rematching.scale

    def take(self, search: Search, prices: Prices) -> None:
        """Keep settled prices if their bound is the best so far; prices without end prove that there is no decision."""
        if any(np.isinf(part).any() for part in prices):
            search.raise_bound(math.inf)
            return
        total = safe_sum(np.concatenate(prices))
        if total > self._tried:
            self.prices, self._tried = prices, total
            search.raise_bound(self.unscaled(total))

    def unscaled(self, value: float) -> float:
        """Return a scaled bound in the problem's unit, less what scaling may have lost."""
        return value / self.rematching.scale - 4 * self.problem.most_terms * 5e-324 / self.rematching.scale

    def try_pairs(self, search: Search, pairs: NDArray[np.int64]) -> None:
        """Offer the decision that pairs (p, 2) of the first two parents make with their best third units."""
        t, m = self.triples, self.rematching
        order = [int(self.problem.parent[part[0]]) if len(part) else -1 for part in t.units]
        if -1 in order:
            return
        left = np.full((len(pairs), 3), m.n_units)
        for side in (0, 1):
            left[:, order[side]] = t.units[side][pairs[:, side]]
        if t.partial:
            rest = [np.delete(m.units_of(order[side]), pairs[:, side], axis=0) for side in (0, 1)]
            left = np.concatenate([left, *rest])
        offer(search, m, m.polish(m.join(left, m.units_of(order[2])), search.deadline))
