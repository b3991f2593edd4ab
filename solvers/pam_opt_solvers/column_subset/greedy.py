"""Greedy column subset: forward selection by Gram updates, about one matrix-vector product per kept unit."""

from pam_opt_solvers.column_subset.residual import Residual
from pam_opt_solvers.column_subset.start import begin, greedy_within_limit
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import ColumnSubset, Feature
from pam_opt_solvers.solver import Solver


class Greedy(Solver[Residual]):
    """Keep the unit that explains most of what is left, until enough are kept; the baseline.

    At the time limit the rest is filled up by importance.
    """

    name = "greedy"
    takes = frozenset({"column_subset"})
    exact = False
    features = frozenset({Feature.QUOTAS, Feature.FORBIDDEN})
    description = "heuristic; forward selection by Gram updates; the baseline"
    stops_itself = True

    def _build(self, problem: ColumnSubset, options: Options) -> Residual:
        return Residual(problem.scaled)

    def _run(self, model: Residual, problem: ColumnSubset, options: Options) -> Outcome:
        search = begin(problem, options.time_limit)
        kept = greedy_within_limit(problem, model, search)
        return Outcome(Status.TIME_LIMIT if search.out_of_time else Status.FEASIBLE, kept)

    def worst_seconds(self, problem: ColumnSubset) -> float:
        """Return three slow passes over the matrix for every kept unit."""
        return 1e-8 * problem.size**2 * (problem.n_kept + 10) + 1e-4 * problem.n_kept + 0.05
