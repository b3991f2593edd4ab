"""Greedy adding and then interchange: swaps of a kept unit for another one until none pays."""

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.greedy import FEATURES
from pam_opt_solvers.representatives.primal import added, improved
from pam_opt_solvers.representatives.scaled import Scaled
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver


class Swaps(Solver[Scaled]):
    """Add greedily, then take the best swap as long as one pays.

    Where fewer units may be kept, units are added and dropped too. Swaps do not see capacities: those count when
    the others are assigned.
    """

    name = "swaps"
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    takes = frozenset({"representatives"})
    features = FEATURES
    description = "heuristic; greedy adding, then the best swap as long as one pays"
    stops_itself = True

    def _build(self, problem: Representatives, options: Options) -> Scaled:
        return Scaled.of(problem)

    def _run(self, model: Scaled, problem: Representatives, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        kept = added(search, model)
        if kept is not None:
            improved(search, model, kept)
        return search.outcome()
