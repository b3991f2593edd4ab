"""Solve a `NetworkPlan` under the rule of the lattice that a layer shares units only if the one before it does.

A shared unit reads shared units only, so without any before it, it would read nothing. Plans that obey this share in
some number of leading layers and nowhere behind them. The problem is solved without the rule, and where the solution
breaks it, the range of that number is split in two so that neither part holds the solution; mostly, no split is needed.
"""

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pam_opt.errors import PlanError
from pam_opt_solvers import NetworkPlan, Solution, Status
from pam_opt_solvers.solution import relative_gap

Solve = Callable[[NetworkPlan], Solution]


@dataclass(frozen=True, eq=False)
class Readable:
    """The best plan that obeys the rule, and what is proven of all that do.

    Parameters
    ----------
    decision : (L,) number of pairs of every layer; None = none was found
    status : how the search ended
    value, bound : as of a `Solution`
    solutions : all that was solved, the problem without the rule first
    """

    decision: np.ndarray | None
    status: Status
    value: float
    bound: float
    solutions: tuple[Solution, ...]

    @property
    def gap(self) -> float:
        """``(value - bound) / |value|``; NaN without a decision."""
        return math.nan if self.decision is None else relative_gap(self.value, self.bound)


def unreadable_layer(counts: np.ndarray) -> int | None:
    """Return the first layer that shares units behind a layer that shares none; None if there is none."""
    found = np.flatnonzero((counts[1:] > 0) & (counts[:-1] == 0)) + 1
    return int(found[0]) if len(found) else None


def nothing_to_read(layer: str, share: float, before: str = "the layer before") -> PlanError:
    """Return the error of a layer that would share units where what it reads, `before`, shares none."""
    return PlanError(
        f"layer {layer!r}: share {share} asks for shared units, but {before} shares none that they could read; "
        "share units there or set this layer's share to 0"
    )


def solve_readable(problem: NetworkPlan, solve: Solve) -> Readable:
    """Solve a problem of two parents so that no layer shares what it cannot read.

    Parameters
    ----------
    problem : option s of every layer merges s pairs
    solve : solves one problem; with a heuristic the result is one, too
    """
    best: Solution | None = None
    solutions: list[Solution] = []
    closed = math.inf  # the lowest bound of the parts that are done with
    order = itertools.count()
    parts = [(-math.inf, next(order), 0, problem.n_layers)]
    while parts:
        known, _, low, high = heapq.heappop(parts)
        if best is not None and known >= best.value:
            closed = min(closed, known)
            break
        solution = solve(_restricted(problem, low, high))
        solutions.append(solution)
        bound = max(known, solution.bound)
        layer = None if solution.decision is None else unreadable_layer(solution.decision)
        if layer is not None:
            for part in ((low, layer - 1), (layer, high)):
                heapq.heappush(parts, (bound, next(order), *part))
            continue
        closed = min(closed, bound)
        if solution.decision is not None and (best is None or solution.value < best.value):
            best = solution
    return _result(best, closed, solutions)


def _restricted(problem: NetworkPlan, low: int, high: int) -> NetworkPlan:
    """Make the first `low` layers share, and those from `high` on share nothing."""
    loss = [x.copy() for x in problem.loss]
    for x in loss[:low]:
        x[0] = math.inf
    for x in loss[high:]:
        x[1:] = math.inf
    return replace(problem, loss=tuple(loss))


def _result(best: Solution | None, closed: float, solutions: list[Solution]) -> Readable:
    ends = [solution.status for solution in solutions if not solution.status.proven]
    if best is None:
        empty = [end for end in ends if not end.decided]
        return Readable(None, empty[0] if empty else Status.INFEASIBLE, math.nan, closed, tuple(solutions))
    late = {Status.TIME_LIMIT, Status.TIME_LIMIT_EMPTY} & set(ends)
    status = Status.TIME_LIMIT if late else Status.FEASIBLE if ends else Status.OPTIMAL
    return Readable(best.decision, status, best.value, min(closed, best.value), tuple(solutions))
