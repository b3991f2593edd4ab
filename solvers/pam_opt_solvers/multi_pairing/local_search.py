"""Iterated re-matching: shuffle a few units of the best decision, re-match to a fixpoint, keep it if it is no worse.

For three parents it starts from the matchings of the Lagrangian climb; for more, every three parents give a part of the
bound (see `decomposition`).
"""

import time

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.cyclic import offer
from pam_opt_solvers.multi_pairing.decomposition import raise_by_triples
from pam_opt_solvers.multi_pairing.lagrangian import Ascent
from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.multi_pairing.triples import Triples
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import ALL_FEATURES, Solver

STARTS = 4
BOUND_SHARE = 0.3
"""Share of the time that goes into the bound."""
CLIMB_STEPS = 150
MOST_IDLE = 100
"""Shuffles without an improvement after which the search ends."""
SHAKES = (0.03, 0.1, 0.3)
"""Shares of the clusters that a shuffle touches."""


class LocalSearch(Solver[Rematching]):
    """Improve decisions by shuffling and re-matching."""

    name = "local_search"
    takes = frozenset({"multi_pairing"})
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    features = ALL_FEATURES - {Feature.WITHIN}
    description = "shuffles and cyclic re-matching from the Lagrangian's matchings; any number of parents"
    stops_itself = True

    def _build(self, problem: MultiPairing, options: Options) -> Rematching:
        return Rematching(problem)

    def _run(self, model: Rematching, problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        search.raise_bound(problem.trivial_bound())
        rng = np.random.default_rng(options.seed)
        best = self._start(model, search, rng)
        _bound(model, search)
        if search.decision is not None:
            best = model.clusters(search.decision)
        self._shuffle(model, search, rng, best)
        return search.outcome(finished=search.bound == np.inf)

    def _start(self, model: Rematching, search: Search, rng: np.random.Generator) -> NDArray[np.int64]:
        found = []
        for start in range(STARTS):
            order = np.argsort(model.problem.sizes, kind="stable") if start == 0 else model.random_order(rng)
            found.append(model.polish(model.sequential(order), search.deadline))
            offer(search, model, found[-1])
            if search.over:
                break
        return min(found, key=model.value)

    def _shuffle(self, model: Rematching, search: Search, rng: np.random.Generator, current: NDArray[np.int64]) -> None:
        value, idle = model.value(current), 0
        while not search.over and idle < MOST_IDLE and len(current) > 1:
            trial = model.polish(model.shake(current, rng, float(rng.choice(SHAKES))), search.deadline)
            found = model.value(trial)
            idle = 0 if found < value - 1e-12 * abs(value) else idle + 1
            if found <= value:
                current, value = trial, found
                offer(search, model, current)


def _bound(model: Rematching, search: Search) -> None:
    seconds = BOUND_SHARE * max(search.seconds_left, 0.0)
    if model.n_parents > 3:
        raise_by_triples(model.problem, search, seconds)
    elif model.n_parents == 3:
        ascent = Ascent(model.problem, model, Triples.of(model.problem))
        ascent.climb(search, CLIMB_STEPS, time.perf_counter() + seconds)
