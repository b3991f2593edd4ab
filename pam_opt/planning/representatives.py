"""Plan by representatives: which units of a layer are kept, and which kept unit the readers of each other one read.

Merging and pruning in one decision, within and across any number of parents, layer by layer. Two problems say
what a kept set costs: in `Representatives` (p-median) each unit is read from one kept unit, in `ColumnSubset` from
all kept units together.

Of the units that a layer keeps for a task, `share` are shared by all tasks and chosen first, from all units; the
rest are exclusive to the task, chosen from its own units to complete the shared ones. With the share 1, the default,
a layer is one problem and its bound holds for the layer; below it, the stages build on each other and it does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan
from pam_opt.representation import Pool
from pam_opt.tasks import Group
from pam_opt_solvers import ColumnSubset, Problem, Representatives, Solution, solve

Pose = Callable[[Pool, np.ndarray, np.ndarray, int], Problem]
"""(pool, candidates, given, count) -> the problem of keeping `count` of the candidates beside the given units."""


def plan_representatives(request: Request) -> LayersAndRecords:
    """Keep the units that stand best for the others, one for each: p-median; width defaults to one parent's."""
    return _plan(request, _median)


def plan_columns(request: Request) -> LayersAndRecords:
    """Keep the units that explain the others best together: column subset; width defaults to one parent's."""
    return _plan(request, _columns)


def _median(pool: Pool, candidates: np.ndarray, given: np.ndarray, count: int) -> Problem:
    units = np.concatenate([candidates, given])
    cost = pool.cost[np.ix_(units, units)]
    # Nothing else may stand for the given units, so they are kept.
    cost[len(candidates) :] = np.inf
    np.fill_diagonal(cost, 0.0)
    return Representatives(cost, len(given) + count)


def _columns(pool: Pool, candidates: np.ndarray, given: np.ndarray, count: int) -> Problem:
    left = pool.residual(given) if len(given) else pool.covariance
    return ColumnSubset(left[np.ix_(candidates, candidates)], count, pool.weight[candidates])


def _plan(request: Request, pose: Pose) -> LayersAndRecords:
    _check_covariance(request)
    layers, records = [], []
    for index in range(len(request.statistics.layers)):
        if request.kept_per_task(index):
            layers.append(request.exclusive(index))
            continue
        layer = _Layer(request, index, pose)
        layers.append(layer.run())
        records.append(layer.record())
    return layers, records


def _check_covariance(request: Request) -> None:
    for layer in request.statistics.layers:
        missing = [task for task in request.tasks if (task, task) not in layer.covariance]
        if missing:
            raise PlanError(
                f"statistics= lack the covariance within the parents {missing}, which keeping representatives needs; "
                "measure with within=True"
            )


@dataclass(frozen=True, eq=False)
class _Kept:
    """Units that are kept for a group of tasks, as indices of the pool."""

    units: np.ndarray
    group: Group


class _Layer:
    """The decisions of one layer."""

    def __init__(self, request: Request, index: int, pose: Pose) -> None:
        self.request, self.index, self.pose = request, index, pose
        self.statistics = request.statistics.layers[index]
        self.pool = Pool.of(self.statistics, request.tasks)
        self.solutions: list[Solution] = []
        self.stage = 0  # where in `solutions` the last stage starts

    def run(self) -> LayerPlan:
        """Choose what is kept, and read every other unit from what is kept."""
        request, pool = self.request, self.pool
        everyone, none = np.arange(len(pool.owner)), np.array([], dtype=np.int64)
        wanted = request.kept(self.index) or max(request.units(self.index))
        shared = round(request.share(self.index) * wanted)
        kept = [_Kept(self._choose(everyone, none, shared), request.everything)]
        given = kept[0].units
        if wanted > shared:
            self.stage = len(self.solutions)
            for column, task in enumerate(request.tasks):
                own = np.setdiff1d(np.flatnonzero(pool.owner == column), given)
                kept.append(_Kept(self._choose(own, given, wanted - shared), frozenset({task})))
        return represent(self.statistics.name, pool, [part for part in kept if len(part.units)], request.tasks)

    def _choose(self, candidates: np.ndarray, given: np.ndarray, count: int) -> np.ndarray:
        """Return `count` of the candidates, or all if there are no more."""
        count = min(count, len(candidates))
        if count == 0:
            return candidates[:0]
        request = self.request
        problem = self.pose(self.pool, candidates, given, count)
        solution = solve(
            problem, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads
        )
        if solution.decision is None:
            raise PlanError(
                f"layer {self.statistics.name!r}: solver {solution.run.solver!r} found nothing to keep: "
                f"{solution.status.value}"
            )
        self.solutions.append(solution)
        chosen = np.unique(solution.decision)
        return candidates[chosen[chosen < len(candidates)]]

    def record(self) -> dict[str, Any]:
        """Write down what ran as plain data; the last stage holds the whole predicted loss of the layer."""
        first, last = self.solutions[0], self.solutions[self.stage :]
        value = float(sum(solution.value for solution in last))
        bound = None if self.stage else float(sum(solution.bound for solution in last))
        return {
            "layer": self.statistics.name,
            "solver": first.run.solver,
            "backend": f"{first.run.backend} {first.run.version}".strip(),
            "note": "; ".join(dict.fromkeys(s.run.note for s in self.solutions if s.run.note)),
            "status": "; ".join(sorted({s.status.name for s in self.solutions})),
            "value": value,
            "bound": bound,
            "gap": None if bound is None else max(0.0, value - bound) / max(abs(value), 1e-300),
            "stepwise": self.stage > 0,
            "seconds": sum(s.build_seconds + s.solve_seconds for s in self.solutions),
        }


def represent(name: str, pool: Pool, kept: Sequence[_Kept], tasks: Sequence[str]) -> LayerPlan:
    """Write a layer's plan: each unit that is not kept is read from the kept unit that stands best for it.

    A unit may be read from the kept units of the groups that its task is in. Where none of these follows it, with a
    correlation above 0, it is dropped.
    """
    units = np.concatenate([part.units for part in kept])
    groups = [part.group for part in kept for _ in part.units]
    readable = np.array([[tasks[owner] in group for group in groups] for owner in range(len(tasks))])[pool.owner]
    cost = np.where(readable & (pool.correlation[:, units] > 0), pool.cost[:, units], np.inf)
    places = np.where(np.isfinite(cost).any(axis=1), cost.argmin(axis=1), -1)
    places[units] = np.arange(len(units))
    shares = np.zeros(len(places))
    shares[units] = 1.0
    cuts = np.flatnonzero(np.diff(pool.owner)) + 1
    return LayerPlan.build(name, np.split(places, cuts), np.split(shares, cuts), groups)
