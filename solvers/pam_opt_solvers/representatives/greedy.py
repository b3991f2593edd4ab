"""Greedy adding of representatives: the usual baseline."""

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.primal import added
from pam_opt_solvers.representatives.scaled import Scaled
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

FEATURES = frozenset({Feature.CAPACITIES, Feature.QUOTAS, Feature.FORBIDDEN})


class Greedy(Solver[Scaled]):
    """Keep the unit that lowers the total most until the count is reached.

    Quotas are met on the way; capacities only when the others are assigned to the kept units.
    """

    name = "greedy"
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    takes = frozenset({"representatives"})
    features = FEATURES
    description = "heuristic; adds the unit that lowers the total most; the baseline"
    stops_itself = True

    def _build(self, problem: Representatives, options: Options) -> Scaled:
        return Scaled.of(problem)

    def _run(self, model: Scaled, problem: Representatives, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        added(search, model)
        return search.outcome()
