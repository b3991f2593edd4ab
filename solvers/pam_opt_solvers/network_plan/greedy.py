"""Greedy planning, layer by layer: the step that saves most for what it costs, again and again; the usual baseline."""

from collections.abc import Callable

import numpy as np

from pam_opt_solvers.network_plan.chain import Indices, Vector
from pam_opt_solvers.network_plan.costs import Layers
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.network_plan import NetworkPlan
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver


class Greedy(Solver[Layers]):
    """From the plan that spends least, take the step of one layer that gains most for what it spends, while one fits.

    A step leads to any option of the layer; on convex curves the best is the next one. What a step gains depends on the
    neighbours as they are, which is what greedy cannot see beyond.
    """

    name = "greedy"
    takes = frozenset({"network_plan"})
    exact = False
    description = "heuristic; layer by layer, the step that saves most for what it costs; the baseline"
    stops_itself = True

    def _build(self, problem: NetworkPlan, options: Options) -> Layers:
        return problem.layers

    def _run(self, model: Layers, problem: NetworkPlan, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        path = model.spent.best()[1]
        if not problem.certainly_feasible():
            return search.outcome("the plan that spends least does not meet the budget")
        search.offer(model.options(path))
        path = climbed(model, path, lambda: search.out_of_time)
        if not problem.violations(model.options(path)):
            search.offer(model.options(path))
        return search.outcome()


def climbed(layers: Layers, path: Indices, over: Callable[[], bool]) -> Indices:
    """Return where greedy steps lead from a path within the budget: none is left that gains and fits, or time is up."""
    path, room = path.copy(), layers.allowed - layers.spent.cost(path)
    steps = [_Steps(layers, path, layer) for layer in range(len(path))]
    best = [each.best(room) for each in steps]
    while not over():
        layer = int(np.argmax([score for score, _ in best]))
        score, option = best[layer]
        if score <= 0:
            break
        spends = float(steps[layer].spent[option])
        if spends > room:  # it fitted when it was found
            best[layer] = steps[layer].best(room)
            continue
        path[layer], room = option, room - spends
        near = range(max(0, layer - 1), min(len(path), layer + 2))
        for other in near:
            steps[other] = _Steps(layers, path, other)
        for other in near if spends >= 0 else range(len(path)):
            best[other] = steps[other].best(room)
    return path


class _Steps:
    """What every option of a layer would change, the others staying as they are."""

    def __init__(self, layers: Layers, path: Indices, layer: int) -> None:
        objective, spent = layers.objective.around(path, layer), layers.spent.around(path, layer)
        self.gain: Vector = objective[path[layer]] - objective
        self.spent: Vector = spent - spent[path[layer]]

    def best(self, room: float) -> tuple[float, int]:
        """Return the highest gain per spending of the steps that fit, and its option; a gain for free is infinite."""
        possible = (self.gain > 0) & (self.spent <= room)
        free = possible & (self.spent <= 0)
        if free.any():
            return np.inf, int(np.where(free, self.gain, -np.inf).argmax())
        ratio = np.divide(self.gain, self.spent, out=np.full(len(self.gain), -np.inf), where=possible)
        option = int(ratio.argmax())
        return float(ratio[option]), option
