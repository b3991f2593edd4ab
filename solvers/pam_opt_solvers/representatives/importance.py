"""Keep the most important units: the control that shows what choosing representatives together is worth."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.greedy import FEATURES
from pam_opt_solvers.representatives.primal import offer
from pam_opt_solvers.representatives.selection import any_selection
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver


class Importance(Solver[NDArray[np.float64]]):
    """Keep the units of highest importance within the quotas, and let the nearest of them stand for each other one.

    Without a given importance a unit counts what is lost if it is represented by the nearest of all others.
    """

    name = "importance"
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    takes = frozenset({"representatives"})
    features = FEATURES
    description = "control; keeps the most important units"
    stops_itself = True

    def _build(self, problem: Representatives, options: Options) -> NDArray[np.float64]:
        if problem.importance is not None:
            return -problem.importance
        lost = problem.nearest_other
        top = float(lost.max(where=lost < np.inf, initial=0.0))
        # A unit that nobody can represent comes before all others.
        return -np.where(lost < np.inf, lost, 2.0 * abs(top) + 1.0)

    def _run(self, model: NDArray[np.float64], problem: Representatives, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        kept = any_selection(problem, model)
        if kept is not None:
            offer(search, problem, kept)
        return search.outcome()
