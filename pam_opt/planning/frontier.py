"""The whole trade between predicted loss and expected MACs of two parents, in one call."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from pam_opt.errors import PlanError
from pam_opt.measuring import Statistics
from pam_opt.planning.preparing import prepare
from pam_opt.planning.readable import solve_readable, unreadable_layer
from pam_opt.planning.sharing import Sharing
from pam_opt.plans import Plan
from pam_opt.tasks import CombinationWeights, Task, check_tasks
from pam_opt.training import Batches
from pam_opt_solvers import Frontier, NetworkPlan, Solution, network_frontier, solve
from pam_opt_solvers.solution import relative_gap


@dataclass(frozen=True)
class FrontierPoint:
    """One plan of the frontier, as plain data.

    Parameters
    ----------
    loss : predicted increase of the loss
    expected_macs : E[C] of the merged network
    macs_bound : proven: no plan that loses at most `loss` has a lower E[C] than this
    pairs : layer name -> number of merged pairs
    shares : layer name -> that as a fraction of the possible pairs
    """

    loss: float
    expected_macs: float
    macs_bound: float
    pairs: Mapping[str, int]
    shares: Mapping[str, float]

    @property
    def gap(self) -> float:
        """How far E[C] may be above the least for this loss, as a part of it."""
        return relative_gap(self.expected_macs, self.macs_bound)


@dataclass(frozen=True, eq=False)
class PlanFrontier:
    """Plans of which none is better in both costs.

    Parameters
    ----------
    points : by rising loss and falling E[C]
    sharing : the parents' curves, from which `plan` makes plans
    seconds : wall time of the search
    """

    points: tuple[FrontierPoint, ...]
    sharing: Sharing
    seconds: float

    def plan(self, index: int) -> Plan:
        """Return the plan of a point, for `pam_opt.merge`.

        Raises
        ------
        PlanError : no such point
        """
        try:
            point = self.points[index]
        except IndexError:
            raise PlanError(f"the frontier has {len(self.points)} points; there is none at {index}") from None
        counts = np.array(list(point.pairs.values()), np.int64)
        joint = {
            "layer": "all layers",
            "joint": True,
            "solver": "network_frontier",
            "backend": "pam-opt",
            "note": f"point {self.points.index(point) + 1} of {len(self.points)} of the frontier",
            "status": "OPTIMAL" if point.gap == 0 else "FEASIBLE",
            "value": point.expected_macs,
            "bound": point.macs_bound,
            "gap": point.gap,
            "minimised": "expected_macs",
            "expected_macs": point.expected_macs,
            "loss": point.loss,
            "loss_budget": point.loss,
            "macs_budget": None,
            "pairs": int(counts.sum()),
            "stepwise": False,
            "seconds": self.seconds,
        }
        statistics, sharing = self.sharing.request.statistics, self.sharing
        seconds = {"measure": statistics.seconds, "solve": sharing.seconds + self.seconds}
        records = (joint, *sharing.records(counts))
        return Plan(sharing.request.tasks, tuple(sharing.layers(counts)), statistics.input_shape, records, seconds)

    def best(self, *, loss_budget: float | None = None, macs_budget: float | None = None) -> int | None:
        """Return the index of the cheapest point within a loss, or of the one that loses least within an E[C].

        None where no point is within it.

        Raises
        ------
        PlanError : no budget, or two
        """
        if (loss_budget is None) == (macs_budget is None):
            raise PlanError("give one of loss_budget= and macs_budget=")
        if loss_budget is not None:
            return max((i for i, point in enumerate(self.points) if point.loss <= loss_budget), default=None)
        assert macs_budget is not None
        return min((i for i, point in enumerate(self.points) if point.expected_macs <= macs_budget), default=None)


def frontier(
    parents: Mapping[str, nn.Module],
    calibration: Batches | None = None,
    *,
    tasks: Sequence[Task],
    points: int = 33,
    combinations: CombinationWeights | None = None,
    statistics: Statistics | None = None,
    time_limit: float = 60.0,
) -> PlanFrontier:
    """Trade predicted loss against expected MACs: up to `points` plans of two parents, none better in both.

    Parameters
    ----------
    parents, calibration, tasks, combinations, statistics : as of `pam_opt.plan`
    points : most plans to find, >= 2; the ends are the least loss and the least E[C], the widest gaps are filled first
    time_limit : seconds of the search

    Raises
    ------
    PlanError : more than two tasks
    ProblemError : less than two points, no time
    UnsupportedModel, DataError, TaskError : see `pam_opt.measure`

    Examples
    --------
    >>> import torch
    >>> tasks = [Task("a", classes=[0]), Task("b", classes=[1])]
    >>> parents = {task.name: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)) for task in tasks}
    >>> batch = torch.randn(8, 3), {task.name: torch.arange(8) % 2 for task in tasks}
    >>> found = frontier(parents, [batch], tasks=tasks, points=5)
    >>> found.points[0].loss, found.points[0].pairs
    (0.0, {'0': 0})
    >>> cheapest = found.plan(-1)
    """
    tasks = check_tasks(tasks, parents)
    request = prepare(parents, calibration, tasks, combinations, statistics, within=False)
    sharing = Sharing.of(request)
    problem = sharing.problem(loss_budget=0.0)
    started = time.perf_counter()
    found = network_frontier(problem, points, time_limit=time_limit)
    left = max(time_limit - (time.perf_counter() - started), 0.1 * time_limit)
    decisions = list(_readable(problem, found.decisions, left))
    made = [_point(sharing, problem, counts, found) for counts in decisions]
    return PlanFrontier(tuple(_undominated(made)), sharing, time.perf_counter() - started)


def _readable(problem: NetworkPlan, decisions: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    """Pass on decisions; one that shares behind a layer that shares nothing gives way to the best that does not."""
    broken = sum(unreadable_layer(counts) is not None for counts in decisions)

    def run(part: NetworkPlan) -> Solution:
        return solve(part, time_limit=seconds / broken)

    for counts in decisions:
        if unreadable_layer(counts) is None:
            yield counts
            continue
        repaired = solve_readable(replace(problem, loss_budget=problem.total_loss(counts)), run)
        if repaired.decision is not None:
            yield repaired.decision


def _undominated(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda point: (point.loss, point.expected_macs)):
        if not kept or point.expected_macs < kept[-1].expected_macs:
            kept.append(point)
    return kept


def _point(sharing: Sharing, problem: NetworkPlan, counts: np.ndarray, found: Frontier) -> FrontierPoint:
    loss, macs = problem.total_loss(counts), problem.expected_macs(counts)
    pairs = {name: int(count) for name, count in zip(sharing.names, counts, strict=True)}
    most = {name: len(curve.values) - 1 for name, curve in zip(sharing.names, sharing.curves, strict=True)}
    shares = {name: count / most[name] for name, count in pairs.items()}
    return FrontierPoint(loss, macs, min(found.macs_bound(loss), macs), pairs, shares)
