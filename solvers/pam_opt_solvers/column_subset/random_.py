"""Random units: the control that shows what choosing is worth."""

import numpy as np

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import ColumnSubset, Feature
from pam_opt_solvers.solver import Solver


class Random(Solver[np.random.Generator]):
    """Keep permitted units at random by the seed, one by one so that the quota can be met."""

    name = "random"
    takes = frozenset({"column_subset"})
    exact = False
    features = frozenset({Feature.QUOTAS, Feature.FORBIDDEN})
    description = "control; random permitted units, by the seed"

    def _build(self, problem: ColumnSubset, options: Options) -> np.random.Generator:
        return np.random.default_rng(options.seed)

    def _run(self, model: np.random.Generator, problem: ColumnSubset, options: Options) -> Outcome:
        kept = np.zeros(0, np.int64)
        while len(kept) < problem.n_kept:
            kept = np.append(kept, model.choice(np.flatnonzero(problem.may_follow(kept))))
        return Outcome(Status.FEASIBLE, kept)

    def worst_seconds(self, problem: ColumnSubset) -> float:
        """Return a microsecond for every unit and kept unit, twice."""
        return 2e-6 * problem.size * (problem.n_kept + 1) + 0.01
