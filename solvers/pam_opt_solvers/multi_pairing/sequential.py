"""Sequential matching: parent after parent is assigned to the clusters so far. Optimal for two parents only."""

import numpy as np

from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import ALL_FEATURES, Solver


class Sequential(Solver[Rematching]):
    """Match the parents one after another, from the smallest to the largest."""

    name = "sequential"
    takes = frozenset({"multi_pairing"})
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    features = ALL_FEATURES - {Feature.WITHIN}
    description = "greedy; parent after parent by assignment; exact for two parents"

    def _build(self, problem: MultiPairing, options: Options) -> Rematching:
        return Rematching(problem)

    def _run(self, model: Rematching, problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        labels = model.labels(model.sequential(np.argsort(problem.sizes, kind="stable")))
        valid = not problem.violations(labels)
        if valid:
            search.offer(labels)
        # One assignment is the whole problem of two parents.
        return search.outcome(finished=problem.n_parents == 2, error=problem.float_error())

    def worst_seconds(self, problem: MultiPairing) -> float:
        """Return 20 ns a step of the worst case of every assignment."""
        return 2e-8 * problem.n_parents * float(max(problem.sizes) + problem.n_units) ** 3 + 0.01
