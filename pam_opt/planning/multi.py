"""Plan clusters over all parents at once, layer by layer: a `MultiPairing` problem handed to a solver.

Where ``pairing`` joins one parent after the other to the clusters so far and cannot revise them, here all costs
between all parents' units count together. What a cluster costs is the sum of the costs of its pairs, which is what the
solvers can prove things about. For ``fisher`` that is above the predicted loss of the cluster, which each record has as
``predicted_loss``: the loss of one common value, ``positions / 2 * sum_u F_u E[(y_u - mean)^2]``, is
``sum over pairs of (F_u + F_v) / (F of the cluster) * cost(u, v)``.

``multi`` makes complete clusters of one unit of every parent. ``multi-within`` lets units of one parent merge as well,
as ZipIt! does greedily [1], for two parents: any two units make a cluster, which serves both tasks.

The sum over pairs is a model of the cluster's loss, no more: on digits (LeNets, three tasks, one seed) the sum was
0.7-7 % below that of sequential pairing in every layer, and the predicted loss 0.2-3 % above.

[1] Stoica et al., "ZipIt! Merging Models from Different Tasks without Training", ICLR 2024, arXiv:2305.03053.
"""

from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.planning.clusters import Clusters, Incoming, unit_costs
from pam_opt.planning.controls import LayersAndRecords, most_important
from pam_opt.planning.incoming import incoming_weights
from pam_opt.planning.lattice import Reading
from pam_opt.planning.readable import nothing_to_read
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, own_groups
from pam_opt_solvers import MultiPairing, Solution, solve

DEFAULT_SECONDS = 60.0
"""Time limit of a large layer where none is given: proofs for more than two parents may take for ever."""

SMALL = 32
"""Most units per parent of a layer that needs no limit: three such parents are proved in seconds."""


def plan_multi(request: Request) -> LayersAndRecords:
    """Merge units into clusters of one unit of every parent, as many as the narrowest parent has units.

    Of these `share` are kept, those that cost least, and the units of the others stay exclusive. The solver decides
    before that, so below share 1 its bound says nothing about the plan, and the record has none.

    Raises
    ------
    PlanError : a loss budget; a layer that would share what it cannot read
    """
    return _plan(request, within=False)


def plan_multi_within(request: Request) -> LayersAndRecords:
    """Merge any two of the units of two parents, within a parent as well as across; every pair serves both tasks.

    A matching in a general graph. `share` as in `plan_multi`. A unit that is left over stays exclusive.

    Raises
    ------
    PlanError : more than two tasks; a loss budget or a width; statistics without the covariance within parents; a
        layer that would share what it cannot read
    """
    if len(request.tasks) != 2:
        raise PlanError(
            f"problem='multi-within' is for two tasks, not {len(request.tasks)}: for more, no solver decides real "
            "layers in useful time; use problem='multi'"
        )
    if request.width is not None:
        raise PlanError("width= does not apply to problem='multi-within'; a layer gets the mean width of the parents")
    for layer in request.statistics.layers:
        if any((task, task) not in layer.covariance for task in request.tasks):
            raise PlanError(
                "statistics= lack the covariance within the parents, which merging within a parent needs; measure "
                "with within=True"
            )
    return _plan(request, within=True)


def _plan(request: Request, *, within: bool) -> LayersAndRecords:
    if request.loss_budget is not None:
        raise PlanError("loss_budget= does not apply to problem='multi'; give a share, or use problem='pairing'")
    layers: list[LayerPlan] = []
    records = []
    for index in range(len(request.statistics.layers)):
        if request.kept_per_task(index):
            layers.append(request.exclusive(index))
            continue
        layer = _Layer(request, index, within, layers)
        layers.append(layer.run())
        records.append(layer.record())
    return layers, records


class _Layer:
    """The decision of one layer."""

    def __init__(self, request: Request, index: int, within: bool, before: list[LayerPlan]) -> None:
        self.request, self.index, self.within, self.before = request, index, within, before
        self.statistics = request.statistics.layers[index]
        self.problem = MultiPairing(self._cost(), request.units(index), within=within)  # type: ignore[arg-type]

    def run(self) -> LayerPlan:
        """Make all clusters, keep `share` of them, and write the layer's plan."""
        request, required = self.request, self.problem.required or 0
        self.wanted = round(request.share(self.index) * required)
        reading = Reading.behind(request.structure, request.tasks, self.before)
        if self.wanted and not reading.allows(request.everything):
            raise nothing_to_read(self.statistics.name, request.share(self.index), reading.before)
        large = max(request.units(self.index)) > SMALL
        limit = DEFAULT_SECONDS if request.time_limit is None and large else request.time_limit
        self.solution: Solution = solve(
            self.problem, request.solver, time_limit=limit, seed=request.seed, threads=request.threads
        )
        if self.solution.decision is None:
            raise PlanError(
                f"layer {self.statistics.name!r}: solver {self.solution.run.solver!r} found no clusters: "
                f"{self.solution.status.value}"
            )
        self.labels = self._cheapest(self.solution.decision)
        return self._shared_by_all() if self.within else self._shared_by_members()

    def record(self) -> dict[str, Any]:
        """Write down what ran as plain data."""
        solution, partial = self.solution, self.wanted < (self.problem.required or 0)
        run, value = solution.run, float(self._cluster_costs(self.labels).sum())
        some = f"the {self.wanted} cheapest of {self.problem.required} clusters; no bound" if partial else ""
        return {
            "layer": self.statistics.name,
            "solver": run.solver,
            "backend": f"{run.backend} {run.version}".strip(),
            "note": "; ".join(note for note in (some, run.note) if note),
            "status": "FEASIBLE" if partial else solution.status.name,
            "value": value if partial else solution.value,
            "bound": None if partial else solution.bound,
            "gap": None if partial else solution.gap,
            "stepwise": False,
            "clusters": self.wanted,
            "predicted_loss": self._predicted_loss() if self.request.cost == "fisher" else None,
            "seconds": solution.build_seconds + solution.solve_seconds,
        }

    def _cost(self) -> np.ndarray:
        """(N, N) costs between all parents' units; between those of one parent where they may merge."""
        tasks, incoming = self.request.tasks, incoming_weights(self.request, self.before)
        blocks = {}
        for a, one in enumerate(tasks):
            for b, two in enumerate(tasks[a:], start=a):
                blocks[a, b] = self._block(one, two, incoming)
                blocks[b, a] = blocks[a, b].T
        k = range(len(tasks))
        cost = np.block([[blocks[a, b] for b in k] for a in k])
        return (cost + cost.T) / 2

    def _block(self, one: str, two: str, incoming: Incoming) -> np.ndarray:
        if one == two and not self.within:
            return np.zeros((len(self.statistics.units[one].mean),) * 2)
        return unit_costs(self.request.cost, self.statistics, self.request.tasks, one, two, incoming)

    def _cluster_costs(self, labels: np.ndarray) -> np.ndarray:
        """Sum the costs of the pairs in every cluster, (clusters,)."""
        together = np.triu(labels[:, None] == labels, 1)
        first, second = np.nonzero(together)
        return np.bincount(labels[first], self.problem.cost[first, second], minlength=labels.max(initial=-1) + 1)

    def _cheapest(self, labels: np.ndarray) -> np.ndarray:
        """Keep the wanted clusters of least cost and split the others into single units."""
        size = np.bincount(labels, minlength=1)
        whole = np.flatnonzero(size > 1)
        kept = whole[np.argsort(self._cluster_costs(labels)[whole], kind="stable")[: self.wanted]]
        single = ~np.isin(labels, kept)
        split = labels.copy()
        split[single] = len(size) + np.arange(single.sum())
        return self.problem.normalise(split)

    def _shared_by_members(self) -> LayerPlan:
        tasks, parent = self.request.tasks, self.problem.parent
        members = np.full((self.labels.max(initial=-1) + 1, len(tasks)), -1)
        members[self.labels, parent] = np.arange(len(parent)) - self.problem.starts[parent]
        kept = most_important(
            Clusters(self.statistics, tasks, members), self.request.kept(self.index), each_parent=True
        )
        return kept.plan(own_groups(kept.members, tasks))

    def _shared_by_all(self) -> LayerPlan:
        tasks, parent = self.request.tasks, self.problem.parent
        size = np.bincount(self.labels, minlength=1)
        groups = [self.request.everything] * len(size)
        for unit in np.flatnonzero(size[self.labels] == 1):
            groups[self.labels[unit]] = frozenset({tasks[parent[unit]]})
        cuts = self.problem.starts[1:-1]
        return LayerPlan.build(
            self.statistics.name, np.split(self.labels, cuts), np.split(self._shares(), cuts), groups
        )

    def _fisher(self) -> np.ndarray:
        """(N,) Fisher information of every unit; of several layers, summed over them and their positions."""
        writers = self.statistics.writers
        rates = [layer.positions for layer in writers] if len(writers) > 1 else [1]
        return np.concatenate(
            [
                sum((rate * layer.units[task].fisher for rate, layer in zip(rates, writers, strict=True)), start=0.0)
                for task in self.request.tasks
            ]
        )

    def _shares(self) -> np.ndarray:
        """(N,) each unit's part of the Fisher information of its cluster; equal parts where that is zero."""
        fisher = self._fisher()
        fisher[np.bincount(self.labels, fisher)[self.labels] <= 0] = 1.0
        return fisher / np.bincount(self.labels, fisher)[self.labels]

    def _predicted_loss(self) -> float:
        first, second = np.nonzero(np.triu(self.labels[:, None] == self.labels, 1))
        share = self._shares()
        return float(self.problem.cost[first, second] @ (share[first] + share[second]))
