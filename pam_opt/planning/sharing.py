"""What two parents gain and lose by sharing: for every layer and number of pairs, the predicted loss and the MACs.

Two losses are predicted. Merging pairs costs what `fisher_cost` says, and a `pairing_curve` gives the least for
every number of pairs. And a shared unit may no longer read the units before it that stay exclusive: the lattice cuts
these edges. A unit whose removal is predicted to cost half its Taylor importance is taken to spread that evenly over
its readers, and refitted weights to make up for all but `LEFT_AFTER_REFIT` of it, so an edge from a unit of parent t
in layer l - 1 costs ``LEFT_AFTER_REFIT * mean importance / (2 units of t in layer l)``. That is a rough estimate: it
does not know which edges are cut. Without any, a network shared in part would look cheaper than one shared in full at
no loss even where the parents are the same.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.planning.chains import refuse_branches
from pam_opt.planning.clusters import Clusters, unit_costs
from pam_opt.planning.readable import nothing_to_read
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, own_groups
from pam_opt_solvers import NetworkPlan, Pairing, PairingCurve, pairing_curve

LEFT_AFTER_REFIT = 0.1
"""Part of a cut edge's predicted loss that is left once the weights are refitted to the parents.

Measured on LeNets on digits (two pairs of tasks, two seeds, four budgets of E[C], no training): the merged networks
are alike for 0, 0.1 and 0.3; at 1 layers share in the wrong places, and the loss is up to 2.8 times as high.
"""


@dataclass(frozen=True, eq=False)
class Sharing:
    """Hold the choice that two parents have in every layer.

    Parameters
    ----------
    request : what was asked for
    curves : for every layer the least predicted loss, and its pairs, for every number of pairs
    edge_loss : (L + 1, 2) mean loss of an edge that is cut, as of `NetworkPlan.of_two_parents`
    seconds : wall time of the curves
    """

    request: Request
    curves: tuple[PairingCurve, ...]
    edge_loss: np.ndarray
    seconds: float

    @classmethod
    def of(cls, request: Request) -> "Sharing":
        """Compute the curves of every layer.

        Raises
        ------
        PlanError : more than two parents, a cost that is no predicted loss, or a width
        """
        _check(request)
        started = time.perf_counter()
        curves = tuple(pairing_curve(Pairing(cost)) for cost in _costs(request))
        return cls(request, curves, _edge_loss(request), time.perf_counter() - started)

    def problem(self, *, loss_budget: float | None = None, macs_budget: float | None = None) -> NetworkPlan:
        """State the problem; its decision is the number of pairs of every layer, its costs are E[C] and the loss.

        A budget beyond what any plan can spend is lowered to that, so +inf means none.
        """
        free = self._free
        if loss_budget is not None:
            most = float(replace(free, loss_budget=None, macs_budget=0.0).magnitudes().sum())
            return replace(free, loss_budget=min(loss_budget, most))
        assert macs_budget is not None
        return replace(free, loss_budget=None, macs_budget=min(macs_budget, float(free.magnitudes().sum())))

    @cached_property
    def _free(self) -> NetworkPlan:
        request, tasks = self.request, self.request.tasks
        structures = [parent.structure for parent in request.parents.values()]
        layers, last = structures[0].layers, len(structures[0].layers) - 1
        sets = [frozenset({tasks[0]}), frozenset({tasks[1]}), request.everything]
        return NetworkPlan.of_two_parents(
            [request.units(index) for index in range(last)],
            [curve.values for curve in self.curves],
            [layer.kernel_area * places for layer, places in zip(layers, request.positions, strict=True)],
            structures[0].inputs,
            [structure.widths[last][one] for structure, one in zip(structures, sets, strict=False)],
            weights=[request.probabilities.get(combination, 0.0) for combination in sets],
            edge_loss=self.edge_loss,
            loss_budget=0.0,
        )

    def uniform(self) -> np.ndarray:
        """Return the number of pairs of every layer that `share` asks for, as ``problem="pairing"`` makes them.

        Raises
        ------
        PlanError : a layer that would share what it cannot read
        """
        names, shares = self.names, self.request.shares
        wanted = [round(shares[name] * (len(curve.values) - 1)) for name, curve in zip(names, self.curves, strict=True)]
        for index in range(1, len(wanted)):
            if wanted[index] and not wanted[index - 1]:
                raise nothing_to_read(names[index], shares[names[index]])
        return np.array(wanted, np.int64)

    @property
    def names(self) -> list[str]:
        """Names of the layers."""
        return [layer.name for layer in self.request.statistics.layers]

    def layers(self, counts: np.ndarray) -> list[LayerPlan]:
        """Merge so many pairs in every layer, those of least predicted loss."""
        return [self._layer(index, int(count)) for index, count in enumerate(counts)]

    def _layer(self, index: int, count: int) -> LayerPlan:
        layer, tasks = self.request.statistics.layers[index], self.request.tasks
        one, two = (Clusters.of_parent(layer, tasks, task) for task in tasks)
        merged = one.paired(two, self.curves[index].pairs(count))
        return merged.plan(own_groups(merged.members, tasks))

    def records(self, counts: np.ndarray) -> list[dict[str, Any]]:
        """Write down every layer as plain data: its pairs are a least set of their number."""
        cut = self.cut_loss(counts)
        return [
            {
                "layer": name,
                "parent": self.request.tasks[1],
                "solver": "pairing_curve",
                "backend": "pam-opt",
                "note": "successive shortest paths: the least set of so many pairs",
                "status": "OPTIMAL",
                "value": float(curve.values[count]),
                "bound": float(curve.values[count]),
                "gap": 0.0,
                "stepwise": False,
                "pairs": int(count),
                "pair_cost": float(curve.values[count]),
                "cut_loss": float(lost),
                "seconds": self.seconds / len(self.curves),
            }
            for name, curve, count, lost in zip(self.names, self.curves, counts, cut, strict=True)
        ]

    def cut_loss(self, counts: np.ndarray) -> np.ndarray:
        """Return the predicted loss of the edges into every layer that the lattice cuts, (L,)."""
        units = np.array([self.request.units(index) for index in range(len(counts))], np.float64)
        exclusive = units.reshape(-1, 2) - np.asarray(counts)[:, None]
        lost = np.zeros(len(counts))
        lost[1:] = counts[1:] * (self.edge_loss[1:-1] * exclusive[:-1]).sum(axis=1)
        return lost


def _check(request: Request) -> None:
    refuse_branches(request.structure, "problem='network', as its frontier and budgets over all layers,")
    if len(request.tasks) != 2:
        raise PlanError(
            f"problem='network' is for two tasks, not {len(request.tasks)}; use problem='pairing', which takes a "
            "loss_budget for any number, or 'multi'"
        )
    if request.cost != "fisher":
        raise PlanError(
            "problem='network' weighs the layers against each other by predicted loss and needs cost='fisher', not "
            f"{request.cost!r}; use that, or problem='pairing'"
        )
    if request.width is not None:
        raise PlanError(
            "width= does not apply to problem='network', which keeps all units and decides how many are shared; "
            "use macs_budget=, or problem='pairing'"
        )


def _costs(request: Request) -> list[np.ndarray]:
    one, two = request.tasks
    return [unit_costs(request.cost, layer, request.tasks, one, two) for layer in request.statistics.layers]


def _edge_loss(request: Request) -> np.ndarray:
    layers = request.statistics.layers
    found = np.zeros((len(layers) + 1, 2))
    for index in range(1, len(layers)):
        for column, task in enumerate(request.tasks):
            readers = request.units(index)[column]
            importance = layers[index - 1].units[task].importance.mean()
            found[index, column] = LEFT_AFTER_REFIT * importance / (2 * readers)
    return found
