"""Star: every parent is matched to parent 0 alone, blind to what the others cost each other.

Kept as a warning: in first trials it reached 46-97 % of the best savings where cyclic re-matching reached 95-100 %.
"""

import numpy as np

from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import ALL_FEATURES, Solver


class Star(Solver[Rematching]):
    """Match every parent to the first of the smallest ones; what the others cost each other is not looked at."""

    name = "star"
    takes = frozenset({"multi_pairing"})
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    features = ALL_FEATURES - {Feature.WITHIN}
    description = "greedy; all parents to one; a warning: blind to the costs between the others"

    def _build(self, problem: MultiPairing, options: Options) -> Rematching:
        return Rematching(problem)

    def _run(self, model: Rematching, problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        first, *others = (int(p) for p in np.argsort(problem.sizes, kind="stable"))
        center = model.units_of(first)
        clusters = center.copy()
        for parent in others:
            joined = model.join(center, model.units_of(parent))
            both = joined[(joined[:, first] < model.n_units) & (joined[:, parent] < model.n_units)]
            clusters[both[:, first] - problem.starts[first], parent] = both[:, parent]
        labels = model.labels(clusters)
        if not problem.violations(labels):
            search.offer(labels)
        return search.outcome()
