"""Raise the Lagrangian bound by deflected subgradients with Polyak's step, scaled unit by unit [1, 2].

Costs of important units are larger, so their multipliers must move further: steps are measured in units of each
unit's cost to its neighbour of rank n / p, about as far as its representative will be. On correlated features this
closes the gap in some hundred steps where unscaled ones need thousands.

[1] M. Held, P. Wolfe and H. P. Crowder, "Validation of subgradient optimization", Mathematical Programming 6, 1974,
doi:10.1007/BF01580223.
[2] P. M. Camerini, L. Fratta and F. Maffioli, "On improving relaxation methods by modified gradient techniques",
Mathematical Programming Study 3, 1975, doi:10.1007/BFb0120697.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.representatives.interchange import State
from pam_opt_solvers.representatives.relaxation import Multipliers, Point, Relaxation

Vector = NDArray[np.float64]
Parts = tuple[Vector, ...]

DEFLECTION = 0.7
"""Part of the last direction that the next one keeps."""

PATIENCE = 20
"""Steps without a better bound after which the step shrinks and the search returns to the best point."""

SHRINK = 0.7
LEAST_STEP = 1e-3
LEAST_RISE = 1e-4
"""Part of the distance to the target that counts as a better bound, and"""

NOISE = 1e-7
"""part of the bound itself."""


@dataclass(frozen=True)
class Effort:
    """How hard to try: the first step as a part of Polyak's, and the part at which to stop."""

    first: float = 1.0
    last: float = LEAST_STEP


def ascend(
    relaxation: Relaxation,
    start: Multipliers,
    target: Callable[[], float],
    over: Callable[[Point], bool],
    pause: Callable[[Point], None] = lambda point: None,
    effort: Effort | None = None,
) -> Point:
    """Return the best point found.

    Parameters
    ----------
    target : value of the best decision so far, scaled; +inf = none
    over : is told every better point, and says whether to stop; asked at every step with the best one
    pause : called with the best point whenever the step shrinks: the moment to look for decisions
    """
    effort = Effort() if effort is None else effort
    squares, factor, idle = squared_lengths(relaxation), effort.first, 0
    best = point = relaxation.at(start)
    direction: Parts = tuple(np.zeros_like(part) for part in _slopes(point))
    while factor >= effort.last and not over(best) and best.bound < np.inf:
        if not any(part.any() for part in _slopes(point)):  # no multipliers are better
            pause(point)
            return max(point, best, key=lambda each: each.bound)
        direction = tuple(s + DEFLECTION * d for s, d in zip(_slopes(point), direction, strict=True))
        point = relaxation.at(_moved(relaxation, point, direction, squares, factor * _distance(target(), point)))
        rise = NOISE * abs(best.bound) + LEAST_RISE * max(0.0, _distance(target(), best))
        if point.bound > best.bound + rise:
            best, idle = point, 0
            continue
        idle += 1
        if idle == PATIENCE:
            factor, idle, point = factor * SHRINK, 0, best
            pause(best)
    return best


def _distance(target: float, point: Point) -> float:
    """Return how far the bound may have to rise; a guess where there is no decision yet."""
    return target - point.bound if np.isfinite(target) else 0.05 * abs(point.bound) + 1e-3


def _slopes(point: Point) -> Parts:
    return (point.slope, *point.least, *point.most)


def _moved(relaxation: Relaxation, point: Point, direction: Parts, squares: Vector, distance: float) -> Multipliers:
    lengths = (squares, *(np.full(len(part), squares.mean()) for part in direction[1:]))
    norm = sum(float((length * part * part).sum()) for length, part in zip(lengths, direction, strict=True))
    step = max(distance, 0.0) / norm if norm > np.finfo(np.float64).tiny else 0.0
    units, *others = (step * length * part for length, part in zip(lengths, direction, strict=True))
    half, old = len(others) // 2, point.multipliers
    return Multipliers(
        np.minimum(old.units + units, relaxation.neighbours.beyond),
        tuple(np.maximum(a + b, 0.0) for a, b in zip(old.least, others[:half], strict=True)),
        tuple(np.maximum(a + b, 0.0) for a, b in zip(old.most, others[half:], strict=True)),
    )


def squared_lengths(relaxation: Relaxation) -> Vector:
    """Return (n,) the square of each unit's yardstick: its cost to the neighbour of rank n / p."""
    costs, n_kept = relaxation.neighbours.costs, max(1, relaxation.rule.n_kept)
    rank = min(costs.shape[1] - 1, max(1, -(-len(costs) // n_kept) - 1))
    yardstick = np.abs(costs[:, rank])
    finite = yardstick < np.inf
    typical = float(yardstick[finite].mean()) if finite.any() else 1.0
    yardstick[~finite] = typical
    return np.maximum(yardstick, 1e-3 * typical if typical > 0 else 1.0) ** 2


def first_multipliers(relaxation: Relaxation, state: State) -> Multipliers:
    """Return the best start between the costs of the nearest and of the second nearest kept unit."""
    top = float(np.abs(relaxation.scaled.others).max(where=relaxation.scaled.others < np.inf, initial=0.0))
    second = np.minimum(state.second, max(top, 0.0))
    first = np.minimum(state.first, second)
    mixes = (relaxation.start(first + part * (second - first)) for part in np.linspace(0.0, 1.0, 11))
    return max((relaxation.at(mix) for mix in mixes), key=lambda point: point.bound).multipliers
