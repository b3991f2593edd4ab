"""How a solve ended, and what an adapter hands to the base class."""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Trajectory = tuple[tuple[float, float, float], ...]
"""(seconds since the start of the run, best value, best bound) at every improvement; NaN = no value yet."""


class Status(Enum):
    """How a solve ended; the value is the sentence a user reads."""

    OPTIMAL = "Optimal: proven that no decision is better."
    FEASIBLE = "Feasible: a heuristic found it; the gap bounds how far it may be from the optimum."
    ROUNDED = (
        "Optimal for rounded costs only: the costs differ too much in size for a proof. "
        "Forbid by +inf instead of a huge cost."
    )
    TIME_LIMIT = "Stopped at the time limit with a decision that is not proven optimal; give it more time."
    TIME_LIMIT_EMPTY = (
        "Stopped at the time limit without a decision; give it more time, or use a faster solver (pam-opt solvers)."
    )
    INFEASIBLE = "Infeasible: proven that no decision exists; forbid or require less, or raise a budget."
    NO_DECISION = "The heuristic found no decision, though one may exist; use an exact solver (pam-opt solvers)."

    @property
    def proven(self) -> bool:
        """Whether nothing is left to find."""
        return self in (Status.OPTIMAL, Status.INFEASIBLE)

    @property
    def decided(self) -> bool:
        """Whether there is a decision."""
        return self in (Status.OPTIMAL, Status.FEASIBLE, Status.ROUNDED, Status.TIME_LIMIT)


@dataclass(frozen=True)
class Outcome:
    """What an adapter found.

    Parameters
    ----------
    status : OPTIMAL also where integer rounding may hide a better decision; say how much in ``error``
    decision : int64 in the problem's form, its parts in any order; ``None`` = none found
    bound : the method's own lower bound, if it stopped early
    error : how much better than ``decision`` the optimum may be because of scaling to integers or of tolerances
    note : for the run record
    build_seconds, solve_seconds : filled in by the base class
    trajectory : of anytime methods
    """

    status: Status
    decision: NDArray[np.int64] | None = None
    bound: float = -math.inf
    error: float = 0.0
    note: str = ""
    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    trajectory: Trajectory = ()
