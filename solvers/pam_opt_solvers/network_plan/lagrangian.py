"""Near-optimal plans by one price on the budget: a bound, the paths beside it, and local search from the best."""

import numpy as np

from pam_opt_solvers.network_plan.costs import Layers
from pam_opt_solvers.network_plan.dual import Point, maximise
from pam_opt_solvers.network_plan.improve import improved
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.network_plan import NetworkPlan
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver


class Lagrangian(Solver[Layers]):
    """Maximise the bound over the price, then improve the best plan met on the way."""

    name = "lagrangian"
    takes = frozenset({"network_plan"})
    exact = False
    description = "heuristic with a bound; a price on the budget, dynamic programming, local search; milliseconds"
    stops_itself = True

    def _build(self, problem: NetworkPlan, options: Options) -> Layers:
        return problem.layers

    def _run(self, model: Layers, problem: NetworkPlan, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        best = Point.of(model, model.spent.best()[1])

        def found(point: Point) -> None:
            nonlocal best
            if point.objective < best.objective and not problem.violations(model.options(point.path)):
                best = point

        dual = maximise(model, 1.0, np.inf, found)
        search.raise_bound(dual.bound * model.unit)
        if problem.violations(model.options(best.path)):
            return search.outcome(f"price {dual.price:.3g}")
        search.offer(model.options(best.path))
        better = model.options(improved(model, best.path, lambda: search.over))
        if not problem.violations(better):
            search.offer(better)
        error = search.value - search.bound
        return search.outcome(f"price {dual.price:.3g} in scaled units", finished=dual.exact, error=error)
