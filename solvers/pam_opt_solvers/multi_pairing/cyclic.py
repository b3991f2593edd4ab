"""Cyclic re-matching from several starts: re-match one split of the parents optimally, then the next, to a fixpoint.

The starts are sequential matchings in random orders of the parents, and random clusters.
"""

import numpy as np

from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import ALL_FEATURES, Solver

STARTS = 8


class Cyclic(Solver[Rematching]):
    """Keep the best fixpoint of cyclic re-matching over several starts."""

    name = "cyclic"
    takes = frozenset({"multi_pairing"})
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    features = ALL_FEATURES - {Feature.WITHIN}
    description = f"cyclic optimal re-matching from {STARTS} starts"
    stops_itself = True

    def _build(self, problem: MultiPairing, options: Options) -> Rematching:
        return Rematching(problem)

    def _run(self, model: Rematching, problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        search.raise_bound(problem.trivial_bound())
        rng = np.random.default_rng(options.seed)
        for start in range(STARTS):
            if search.over and start:
                break
            order = np.argsort(problem.sizes, kind="stable") if start == 0 else model.random_order(rng)
            clusters = model.sequential(order)
            if start > STARTS // 2:
                clusters = model.shake(clusters, rng, 1.0)
            offer(search, model, model.polish(clusters, search.deadline))
        return search.outcome()


def offer(search: Search, model: Rematching, clusters: np.ndarray) -> bool:
    """Offer clusters to a search if they make a valid decision, and say whether it is the best so far."""
    labels = model.labels(clusters)
    return not search.problem.violations(labels) and search.offer(labels)
