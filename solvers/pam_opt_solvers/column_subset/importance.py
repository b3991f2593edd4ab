"""Importance alone: the control that shows what looking at the units together is worth."""

import numpy as np

from pam_opt_solvers.column_subset.start import filled_up
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import ColumnSubset, Feature
from pam_opt_solvers.solver import Solver


class Importance(Solver[None]):
    """Keep the units with the largest weight times variance, blind to what they have in common."""

    name = "importance"
    takes = frozenset({"column_subset"})
    exact = False
    features = frozenset({Feature.QUOTAS, Feature.FORBIDDEN})
    description = "control; the most important units, each by itself"

    def _build(self, problem: ColumnSubset, options: Options) -> None:
        return None

    def _run(self, model: None, problem: ColumnSubset, options: Options) -> Outcome:
        return Outcome(Status.FEASIBLE, filled_up(problem, np.zeros(0, np.int64)))

    def worst_seconds(self, problem: ColumnSubset) -> float:
        """Return a microsecond for every unit and kept unit."""
        return 1e-6 * problem.size * (problem.n_kept + 1) + 0.01
