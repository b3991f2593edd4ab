"""Plan by pairing: layer by layer, parent after parent, a `Pairing` problem handed to a solver."""

from typing import Any

import numpy as np

from pam_opt.cost_models import ExpectedCost
from pam_opt.errors import PlanError
from pam_opt.macs import run_probability
from pam_opt.pair_costs import COSTS
from pam_opt.planning.clusters import Clusters
from pam_opt.planning.controls import LayersAndRecords, most_important
from pam_opt.planning.incoming import incoming_weights
from pam_opt.planning.lattice import Reading
from pam_opt.planning.readable import nothing_to_read
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, own_groups
from pam_opt.records import pairing_record
from pam_opt.tasks import Group, combination_key
from pam_opt_solvers import Pairing, Solution, solve

_BISECTIONS = 24


def plan_pairing(request: Request) -> LayersAndRecords:
    """Pair the units of the parents layer by layer, K > 2 sequentially: each parent with the clusters so far.

    With `loss_budget` every pair may stay apart at the price of the MACs in E[C], or of the expected seconds, that it
    would save, and the price is bisected until the predicted loss of all pairs meets the budget.
    """
    if request.loss_budget is None:
        return _Pairer(request, price=None).run()
    return _within_budget(request, request.loss_budget)


def _within_budget(request: Request, budget: float) -> LayersAndRecords:
    """Find the highest price of a MAC, or a second, at which the pairs' predicted loss stays within the budget."""
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
    """One pass over all layers; `price` is the loss that one saved MAC or second is worth, None for a fixed share."""

    def __init__(self, request: Request, price: float | None) -> None:
        self.request, self.price = request, price
        self.layers: list[LayerPlan] = []
        self.records: list[dict[str, Any]] = []

    def run(self) -> LayersAndRecords:
        for index in range(len(self.request.statistics.layers)):
            if self.request.kept_per_task(index):
                self.layers.append(self.request.exclusive(index))
                continue
            clusters = self._pair_layer(index)
            kept = most_important(clusters, self.request.kept(index), each_parent=True)
            groups = own_groups(kept.members, self.request.tasks)
            self.layers.append(kept.plan(groups))
        return self.layers, self.records

    def highest_price(self) -> float:
        """Return a price at which every permitted pair merges."""
        self.run()
        unit, least = self.cost_model.unit, self.cost_model.least
        costs = [record["largest_cost"] / max(record[f"{unit}_saved"], least) for record in self.records]
        return 2 * max(costs, default=1.0) + 1e-300

    def _pair_layer(self, index: int) -> Clusters:
        request, layer = self.request, self.request.statistics.layers[index]
        first, *others = request.tasks
        clusters = Clusters.of_parent(layer, request.tasks, first)
        incoming = incoming_weights(request, self.layers)
        reading = Reading.behind(request.structure, request.tasks, self.layers)
        for task in others:
            other = Clusters.of_parent(layer, request.tasks, task)
            statistics = clusters.pair_statistics(other, task, incoming)
            cost = COSTS[request.cost](statistics)
            _forbid_unreadable(reading, clusters, task, cost)
            solution = self._solve(cost, index, task, reading)
            pairs = self._pairs(solution, layer.name)
            for group in reading.demanded():
                pairs = self._with_demanded(group, clusters, task, cost, pairs)
            clusters = clusters.paired(other, pairs)
        return clusters

    def _with_demanded(
        self, group: Group, clusters: Clusters, task: str, cost: np.ndarray, pairs: np.ndarray
    ) -> np.ndarray:
        """Add the cheapest pair for a group that spaces planned before have to read here, if there is none for it.

        Only a graph asks for it: the later branches of a residual sum read what is planned after the sum. A share of
        nothing that was asked for is not overruled; `plan` refuses what could not be run.
        """
        tasks = self.request.tasks
        so_far = group & frozenset(tasks[: tasks.index(task) + 1])
        holds = np.array([so_far <= own | {task} for own in own_groups(clusters.members, tasks)])
        forbidden = self.price is None and not len(pairs)
        if task not in group or so_far == {task} or forbidden or holds[pairs[:, 0]].any():
            return pairs
        usable = np.where(holds[:, None], cost, np.inf)
        row, column = np.unravel_index(int(usable.argmin()), usable.shape)
        if not np.isfinite(usable[row, column]):
            return pairs
        rest = pairs[(pairs[:, 0] != row) & (pairs[:, 1] != column)]
        changed = np.concatenate([rest, np.array([[row, column]], rest.dtype)])
        self.records[-1] |= _changed(self.records[-1]["note"], changed, cost, group)
        return changed

    def _solve(self, cost: np.ndarray, index: int, task: str, reading: Reading) -> Solution:
        request, name = self.request, self.request.statistics.layers[index].name
        saved = self._saved(index, task)
        if self.price is None:
            wanted = round(request.share(index) * min(cost.shape))
            if wanted and np.isfinite(cost).sum() == 0:
                raise nothing_to_read(name, request.share(index), reading.before)
            problem = Pairing(cost, n_pairs=wanted)
        else:
            single = np.full(max(cost.shape), self.price * saved / 2)
            problem = Pairing(cost, single_rows=single[: cost.shape[0]], single_columns=single[: cost.shape[1]])
        solution = solve(
            problem, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads
        )
        record = pairing_record(solution, cost, name, task, stepwise=len(request.tasks) > 2)
        largest = float(cost[np.isfinite(cost)].max(initial=0.0))
        self.records.append({**record, "largest_cost": largest, f"{self.cost_model.unit}_saved": saved})
        return solution

    def _pairs(self, solution: Solution, layer: str) -> np.ndarray:
        if solution.pairs is None:
            raise PlanError(f"layer {layer!r}: solver {solution.run.solver!r} found no pairs: {solution.status.value}")
        return solution.pairs

    def _saved(self, index: int, task: str) -> float:
        """Estimate what one pair saves in expectation: a unit's cost, whenever both of its parents run."""
        request = self.request
        before = list(request.tasks[: request.tasks.index(task)])
        both = np.mean([self._both(other, task) for other in before])
        return float(both * request.unit_costs[task][index])

    @property
    def cost_model(self) -> ExpectedCost:
        """The cost of the first parent; that of the others counts in the same units."""
        return self.request.parent_costs[self.request.tasks[0]]

    def _both(self, one: str, two: str) -> float:
        pi = [run_probability(frozenset(group), self.request.probabilities) for group in ([one], [two], [one, two])]
        return pi[0] + pi[1] - pi[2]


def _forbid_unreadable(reading: Reading, clusters: Clusters, task: str, cost: np.ndarray) -> None:
    """Forbid pairs whose merged unit could read nothing, because what it reads shares no unit for its tasks."""
    groups = own_groups(clusters.members, clusters.tasks)
    allowed = {group: reading.allows(group | {task}) for group in set(groups)}
    cost[[not allowed[group] for group in groups]] = np.inf


def _changed(note: str, pairs: np.ndarray, cost: np.ndarray, group: Group) -> dict[str, Any]:
    """Write down pairs that are not just those that the solver chose; its bound says nothing about them."""
    why = f"one pair for {combination_key(group)} is added, which a layer planned before has to read here"
    total = float(cost[pairs[:, 0], pairs[:, 1]].sum())
    return {
        "note": "; ".join(filter(None, [note, why])),
        "status": "FEASIBLE",
        "value": total,
        "bound": None,
        "gap": None,
        "pairs": len(pairs),
        "pair_cost": total,
    }
