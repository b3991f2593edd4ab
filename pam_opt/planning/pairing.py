"""Plan by pairing: layer by layer, parent after parent, a `Pairing` problem handed to a solver."""

from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.macs import run_probability
from pam_opt.pair_costs import COSTS
from pam_opt.planning.clusters import Clusters
from pam_opt.planning.controls import LayersAndRecords, most_important
from pam_opt.planning.incoming import incoming_weights
from pam_opt.planning.readable import nothing_to_read
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, own_groups
from pam_opt.records import pairing_record
from pam_opt_solvers import Pairing, Solution, solve

_BISECTIONS = 24


def plan_pairing(request: Request) -> LayersAndRecords:
    """Pair the units of the parents layer by layer, K > 2 sequentially: each parent with the clusters so far.

    With `loss_budget` every pair may stay apart at the price of the MACs in E[C] that it would save, and the
    price is bisected until the predicted loss of all pairs meets the budget.
    """
    if request.loss_budget is None:
        return _Pairer(request, price=None).run()
    return _within_budget(request, request.loss_budget)


def _within_budget(request: Request, budget: float) -> LayersAndRecords:
    """Find the highest price of a MAC at which the pairs' predicted loss stays within the budget."""
    low, best = 0.0, _Pairer(request, price=0.0).run()
    high = _Pairer(request, price=None).highest_price()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2 if low == 0.0 else float(np.sqrt(low * high))
        found = _Pairer(request, price=middle).run()
        if _predicted_loss(found) <= budget:
            low, best = middle, found
        else:
            high = middle
    return best


def _predicted_loss(found: LayersAndRecords) -> float:
    return sum(record["pair_cost"] for record in found[1])


class _Pairer:
    """One pass over all layers; `price` is the loss that one saved MAC is worth, None for a fixed share."""

    def __init__(self, request: Request, price: float | None) -> None:
        self.request, self.price = request, price
        self.layers: list[LayerPlan] = []
        self.records: list[dict[str, Any]] = []

    def run(self) -> LayersAndRecords:
        for index in range(len(self.request.statistics.layers)):
            clusters = self._pair_layer(index)
            kept = most_important(clusters, self.request.kept(index), each_parent=True)
            groups = own_groups(kept.members, self.request.tasks)
            self.layers.append(kept.plan(groups))
        return self.layers, self.records

    def highest_price(self) -> float:
        """Return a price at which every permitted pair merges."""
        self.run()
        costs = [record["largest_cost"] / max(record["macs_saved"], 1.0) for record in self.records]
        return 2 * max(costs, default=1.0) + 1e-300

    def _pair_layer(self, index: int) -> Clusters:
        request, layer = self.request, self.request.statistics.layers[index]
        first, *others = request.tasks
        clusters = Clusters.of_parent(layer, request.tasks, first)
        incoming = incoming_weights(request, self.layers)
        for task in others:
            other = Clusters.of_parent(layer, request.tasks, task)
            statistics = clusters.pair_statistics(other, task, incoming)
            cost = COSTS[request.cost](statistics)
            self._forbid_unreadable(index, clusters, other, cost)
            solution = self._solve(cost, index, task)
            clusters = clusters.paired(other, self._pairs(solution, layer.name))
        return clusters

    def _forbid_unreadable(self, index: int, clusters: Clusters, other: Clusters, cost: np.ndarray) -> None:
        """Forbid pairs whose merged unit could read nothing, because the layer before shares no unit for its tasks."""
        if index == 0:
            return
        before = set(self.layers[-1].groups)
        (task,) = set(own_groups(other.members, self.request.tasks))
        for row, group in enumerate(own_groups(clusters.members, self.request.tasks)):
            if not any(group | task <= source for source in before):
                cost[row] = np.inf

    def _solve(self, cost: np.ndarray, index: int, task: str) -> Solution:
        request, name = self.request, self.request.statistics.layers[index].name
        saved = self._macs_saved(index, task)
        if self.price is None:
            wanted = round(request.shares[name] * min(cost.shape))
            if wanted and np.isfinite(cost).sum() == 0:
                raise nothing_to_read(name, request.shares[name])
            problem = Pairing(cost, n_pairs=wanted)
        else:
            single = np.full(max(cost.shape), self.price * saved / 2)
            problem = Pairing(cost, single_rows=single[: cost.shape[0]], single_columns=single[: cost.shape[1]])
        solution = solve(
            problem, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads
        )
        record = pairing_record(solution, cost, name, task, stepwise=len(request.tasks) > 2)
        largest = float(cost[np.isfinite(cost)].max(initial=0.0))
        self.records.append({**record, "largest_cost": largest, "macs_saved": saved})
        return solution

    def _pairs(self, solution: Solution, layer: str) -> np.ndarray:
        if solution.pairs is None:
            raise PlanError(f"layer {layer!r}: solver {solution.run.solver!r} found no pairs: {solution.status.value}")
        return solution.pairs

    def _macs_saved(self, index: int, task: str) -> float:
        """Estimate what one pair saves in E[C]: a unit's MACs, whenever both of its parents run."""
        request = self.request
        before = list(request.tasks[: request.tasks.index(task)])
        both = np.mean([self._both(other, task) for other in before])
        structure = request.parents[task].structure
        group = frozenset({task})
        layer, reader = structure.layers[index], structure.layers[index + 1]
        own = layer.kernel_area * request.positions[index] * structure.fan_in(index, group)
        read = reader.kernel_area * request.positions[index + 1] * structure.widths[index + 1][group]
        return float(both * (own + read))

    def _both(self, one: str, two: str) -> float:
        pi = [run_probability(frozenset(group), self.request.probabilities) for group in ([one], [two], [one, two])]
        return pi[0] + pi[1] - pi[2]
