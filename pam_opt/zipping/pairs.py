"""Which units of a layer become one, by MTZ's functional difference: one network after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pam_opt.errors import PlanError
from pam_opt.merging.closed_form import closed_form, functional_difference, readable_rows
from pam_opt.merging.weights import Mix
from pam_opt.plans import LayerPlan, own_groups, place_members
from pam_opt.records import pairing_record
from pam_opt.structure import Structure
from pam_opt.tasks import Group
from pam_opt_solvers import Pairing, Solution, solve


@dataclass(frozen=True)
class PairOptions:
    """Say which pairs of a layer are made.

    Parameters
    ----------
    share : fraction of the possible pairs
    threshold : instead: every pair that costs less, as long as both units are free
    solver : of kind ``pairing``
    """

    share: float = 1.0
    threshold: float | None = None
    solver: str = "greedy"
    time_limit: float | None = None
    seed: int = 0
    threads: int = 1

    def problem(self, cost: np.ndarray) -> Pairing:
        """State which pairs are wanted."""
        if self.threshold is None:
            return Pairing(cost, n_pairs=round(self.share * min(cost.shape)))
        # A pair pays exactly where it costs less than leaving both units single.
        single = np.full(max(cost.shape), self.threshold / 2)
        return Pairing(cost, single_rows=single[: cost.shape[0]], single_columns=single[: cost.shape[1]])


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """Describe a layer that is to be zipped, in front of which everything is zipped already.

    Parameters
    ----------
    structure : of the network as zipped so far
    index : of the layer
    weights : task -> (units, values + 1), see `pam_opt.merging.closed_form.weight_rows`
    moments : task -> (values + 1, values + 1), see `pam_opt.merging.moments.TaskData`
    balance : task -> weight of its data
    """

    structure: Structure
    index: int
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    balance: Mapping[str, float]

    def pair(self, options: PairOptions) -> tuple[LayerPlan, list[dict[str, Any]]]:
        """Pair the units of every network with those zipped so far; returns the layer's plan and a record of each."""
        tasks, name = self.structure.tasks, self.structure.layers[self.index].name
        members, records = self._units(tasks[0]), []
        for task in tasks[1:]:
            cost = self._cost(members, task)
            solution = _solve(cost, options, name)
            # Always stepwise: what a pair costs depends on how the layers before were merged.
            records.append(pairing_record(solution, cost, name, task, stepwise=True))
            members = _joined(members, self._units(task), np.asarray(solution.pairs))
        shares = (members >= 0) * np.array([self.balance[task] for task in tasks])
        units = [len(self.weights[task]) for task in tasks]
        groups = own_groups(members, tasks)
        return LayerPlan.of_members(name, members, shares / shares.sum(1, keepdims=True), groups, units), records

    def _units(self, task: str) -> np.ndarray:
        """Make a row of members for every unit of one network."""
        members = np.full((len(self.weights[task]), len(self.structure.tasks)), -1)
        members[:, self.structure.tasks.index(task)] = np.arange(len(members))
        return members

    def _cost(self, members: np.ndarray, task: str) -> np.ndarray:
        """Return the functional difference of every cluster and unit of `task` on the inputs that both read."""
        cost = np.full((len(members), len(self.weights[task])), np.inf)
        groups = own_groups(members, self.structure.tasks)
        for group in dict.fromkeys(groups):
            shared = readable_rows(self.structure, self.index, group | {task})
            if self.index > 0 and self.structure.fan_in(self.index, group | {task}) == 0:
                continue  # a merged unit could read nothing
            rows = np.flatnonzero([other == group for other in groups])
            total = sum((self.moments[other] for other in group), torch.zeros(()))
            left = self._cluster_weights(members[rows], group)
            cost[rows] = functional_difference(
                left[:, shared], self.weights[task][:, shared], _part(total, shared), _part(self.moments[task], shared)
            )
        return cost

    def _cluster_weights(self, members: np.ndarray, group: Group) -> Tensor:
        """Return the closed-form weights of clusters of one group, on all inputs."""
        tasks, read = self.structure.tasks, readable_rows(self.structure, self.index, group)
        units = [len(self.weights[task]) for task in tasks]
        mix = Mix(*place_members(members, (members >= 0).astype(float), units), len(members))
        result = torch.zeros(len(members), self.weights[tasks[0]].shape[1], dtype=torch.float64)
        parts = [_part(self.moments[task], read) for task in tasks]
        result[:, read] = closed_form(mix, [self.weights[task][:, read] for task in tasks], parts)
        return result


def _part(moments: Tensor, columns: Tensor) -> Tensor:
    return moments[columns][:, columns]


def _joined(members: np.ndarray, others: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Merge pairs (k, 2) of two lists of clusters, and keep the rest of both."""
    merged = members.copy()
    merged[pairs[:, 0]] = np.maximum(merged[pairs[:, 0]], others[pairs[:, 1]])
    return np.concatenate([merged, np.delete(others, pairs[:, 1], axis=0)])


def _solve(cost: np.ndarray, options: PairOptions, layer: str) -> Solution:
    problem = options.problem(cost)
    if problem.most_pairs > 0 and not np.isfinite(cost).any() and options.threshold is None:
        raise PlanError(
            f"layer {layer!r}: no two units can be shared, because the layer before shares none that they could "
            f"read; share some there, or give share={{{layer!r}: 0.0}}"
        )
    solution = solve(problem, options.solver, time_limit=options.time_limit, seed=options.seed, threads=options.threads)
    if solution.pairs is None:
        raise PlanError(f"layer {layer!r}: solver {solution.run.solver!r} found no pairs: {solution.status.value}")
    return solution
