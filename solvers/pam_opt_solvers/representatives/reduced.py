"""Reduced-cost fixing: which units and pairs may still be in a better decision, and the programme over them alone.

A decision that keeps unit j costs at least ``bound + rho_j - threshold``, one that lets j stand for u at least
``max(0, c_uj - lambda_u)`` more. What reaches the best known value so cannot be in a better decision and is left out;
near a closed gap little remains, and an integer programme settles it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.highs import INFEASIBLE, OPTIMAL, minimise
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.representatives.program import write_program
from pam_opt_solvers.representatives.relaxation import Point, Relaxation

BITS = 10
"""Costs of the programme are scaled to below 2**10, as HiGHS works to absolute tolerances."""

TOLERANCE = 1e-7
INCREMENT = 1e-6
"""Of HiGHS: on one reduced cost, and the absolute gap at which it stops."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """What may be in a decision better than the best known one, in scaled units.

    Parameters
    ----------
    point : whose bound shows it
    keepable : (n,) units that may be kept
    certain : (n,) units that must be kept
    pairs : (n, n) of a unit and another one that may represent it
    """

    point: Point
    keepable: NDArray[np.bool_]
    certain: NDArray[np.bool_]
    pairs: NDArray[np.bool_]

    @property
    def undecided(self) -> int:
        """Units that may be kept or not."""
        return int((self.keepable & ~self.certain).sum())

    @property
    def variables(self) -> int:
        """Size of the programme."""
        return int(self.keepable.sum() + self.pairs.sum())


def reduce(relaxation: Relaxation, point: Point, value: float) -> Reduced:
    """Fix by reduced costs against a known value, scaled; +inf = none is known, and nothing is fixed."""
    assert point.selection is not None
    scaled, chosen, room = relaxation.scaled, point.selection.chosen, value - point.bound
    possible = scaled.keeping < np.inf
    enter = np.where(chosen, 0.0, np.inf)
    outside = np.flatnonzero(possible & ~chosen)
    enter[outside] = point.weights[outside] - point.selection.enter[outside]
    keepable = possible & (enter < room)
    certain = np.zeros(len(chosen), bool)
    certain[chosen] = point.selection.leave[chosen] - point.weights[chosen] >= room
    apart = np.maximum(scaled.others - point.multipliers.units[:, None], 0.0)
    pairs = (scaled.others < np.inf) & (apart + np.maximum(enter, 0.0)[None, :] < room)
    pairs &= keepable[None, :] & ~certain[:, None]
    return Reduced(point, keepable, certain, pairs)


def programme(relaxation: Relaxation, reduced: Reduced) -> IntegerProgram:
    """Write the integer programme of what remains, its costs less the multipliers: small numbers near a closed gap."""
    scaled, units = relaxation.scaled, reduced.point.multipliers.units
    costs = scaled.others - units[:, None]
    np.fill_diagonal(costs, scaled.keeping - units)
    return write_program(scaled.problem, costs, reduced.keepable, reduced.pairs, float(units.sum()), reduced.certain)


@dataclass(frozen=True, eq=False)
class Finish:
    """How the programme ended, in scaled units.

    Parameters
    ----------
    decision : (n,) of it, if one was found
    bound : on every decision in the programme; +inf = there is none
    error : how much better the optimum may be because of tolerances
    complete : whether it ran to its end
    """

    decision: NDArray[np.int64] | None
    bound: float
    error: float
    complete: bool


def finish(relaxation: Relaxation, reduced: Reduced, seconds: float) -> Finish:
    """Solve the programme of what remains by HiGHS within the time (inf = no limit)."""
    if not reduced.keepable.any():  # no decision is better than the known one
        return Finish(None, np.inf, 0.0, True)
    program = programme(relaxation, reduced)
    scaling = program.scaled(BITS)
    found = minimise(program, scaling.values, time_limit=None if np.isinf(seconds) else seconds)
    if found.status == INFEASIBLE:  # which means the same
        return Finish(None, np.inf, 0.0, True)
    error = scaling.tolerated(TOLERANCE, INCREMENT)
    dual = -np.inf if found.mip_dual_bound is None else float(found.mip_dual_bound)
    decision = None if found.x is None else program.decode(np.rint(found.x).astype(np.int64))
    return Finish(decision, scaling.to_value(dual) - error, error, found.status == OPTIMAL and found.x is not None)
