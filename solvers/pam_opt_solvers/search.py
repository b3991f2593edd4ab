"""The state of an anytime method: best decision, best bound, their trajectory and the time that is left."""

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.problem import Problem


class Search:
    """Keep what a search has found; the method asks ``over`` between its steps.

    Parameters
    ----------
    problem : what is searched
    time_limit : seconds from now; ``None`` = none
    tolerance : relative gap at which the search is over
    """

    def __init__(self, problem: Problem, time_limit: float | None, tolerance: float = 1e-9) -> None:
        self.problem, self.tolerance = problem, tolerance
        self.started = time.perf_counter()
        self.deadline = math.inf if time_limit is None else self.started + time_limit
        self.decision: NDArray[np.int64] | None = None
        self.value, self.bound = math.inf, -math.inf
        self._trajectory: list[tuple[float, float, float]] = []

    @property
    def seconds_left(self) -> float:
        """Seconds until the limit; inf without one."""
        return self.deadline - time.perf_counter()

    @property
    def out_of_time(self) -> bool:
        """Whether the limit is reached."""
        return time.perf_counter() >= self.deadline

    @property
    def closed(self) -> bool:
        """Whether value and bound meet within the tolerance."""
        return math.isfinite(self.value) and self.value - self.bound <= self.tolerance * abs(self.value)

    @property
    def over(self) -> bool:
        """Whether to stop."""
        return self.closed or self.out_of_time

    def offer(self, decision: Any) -> bool:
        """Keep a valid decision if its value is the best so far, and say whether it is."""
        value = math.fsum(self.problem.terms(decision))
        if not value < self.value:
            return False
        self.decision, self.value = np.array(decision, np.int64), value
        self._note()
        return True

    def raise_bound(self, bound: float) -> bool:
        """Keep a lower bound if it is the highest so far, and say whether it is."""
        if not bound > self.bound:
            return False
        self.bound = bound
        self._note()
        return True

    def _note(self) -> None:
        value = self.value if self.decision is not None else math.nan
        self._trajectory.append((time.perf_counter() - self.started, value, self.bound))

    def outcome(self, note: str = "", *, finished: bool = False, error: float = 0.0) -> Outcome:
        """Return what was found.

        Parameters
        ----------
        finished : whether the method proved that its decision is optimal within ``error`` (or that there is none)
        error : how much better the optimum may be all the same
        """
        trajectory = tuple(self._trajectory)
        if self.decision is None:
            if finished:
                return Outcome(Status.INFEASIBLE, note=note, trajectory=trajectory)
            empty = Status.TIME_LIMIT_EMPTY if self.out_of_time else Status.NO_DECISION
            return Outcome(empty, bound=self.bound, note=note, trajectory=trajectory)
        if finished or self.closed:
            slack = max(error, self.value - self.bound) if not finished else error
            return Outcome(Status.OPTIMAL, self.decision, self.bound, max(0.0, slack), note, trajectory=trajectory)
        status = Status.TIME_LIMIT if self.out_of_time else Status.FEASIBLE
        return Outcome(status, self.decision, self.bound, note=note, trajectory=trajectory)
