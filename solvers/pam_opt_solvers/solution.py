"""What a solver hands back: a decision that keeps its problem and can judge itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.problems.pairing import Pairing

TINY = 1e-300
"""Least denominator of a gap."""


class Status(Enum):
    """How a solve ended; the value is the sentence a user reads."""

    OPTIMAL = "Optimal: proven that no decision is better."
    FEASIBLE = "Feasible: a heuristic found it; the gap bounds how far it may be from the optimum."
    ROUNDED = (
        "Optimal for rounded costs only: the costs differ too much in size for a proof. "
        "Forbid pairs by +inf instead of a huge cost."
    )
    TIME_LIMIT = "Stopped at the time limit with a decision that is not proven optimal; give it more time."
    TIME_LIMIT_EMPTY = (
        "Stopped at the time limit without a decision; give it more time, or use a faster solver such as 'hungarian'."
    )
    INFEASIBLE = "Infeasible: proven that no decision exists; forbid fewer pairs or require fewer."
    NO_DECISION = "The heuristic found no decision, though one may exist; use an exact solver such as 'hungarian'."

    @property
    def proven(self) -> bool:
        """Whether nothing is left to find."""
        return self in (Status.OPTIMAL, Status.INFEASIBLE)


@dataclass(frozen=True)
class Run:
    """What ran.

    Parameters
    ----------
    solver : name in the solver table, with its engine where it has several (``math_opt:glop``)
    backend, version : package that solved it and its version; this package's own where it needs none
    seed, threads : as used
    options : the solver's own settings as used
    repeatable : whether the same call gives the same pairs on the same machine
    note : anything worth knowing: what ``auto`` picked and why, integer scale and worst rounding error, ...
    """

    solver: str
    backend: str = ""
    version: str = ""
    seed: int = 0
    threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    note: str = ""


@dataclass(frozen=True, eq=False)
class Solution:
    """A decision with its problem, its value, what is proven of it, and how it came about.

    Parameters
    ----------
    problem : what was solved
    pairs : (k, 2) int64, row and column of each pair, sorted by row; ``None`` = no decision
    status : how the solve ended
    value : recomputed from the problem's own costs; NaN without a decision
    bound : best proven lower bound on every decision, less the rounding of integer backends; +inf when
        infeasible
    gap : ``(value - bound) / max(|value|, 1e-300)``; 0.0 when proven, NaN without a decision
    build_seconds, solve_seconds : wall time of writing the model and of running it
    run : what ran
    """

    problem: Pairing = field(repr=False)
    pairs: NDArray[np.int64] | None = field(repr=False)
    status: Status
    value: float
    bound: float
    gap: float
    build_seconds: float
    solve_seconds: float
    run: Run

    def check(self) -> None:
        """Raise ``SolverFailed`` unless the pairs are valid, have this value and respect the bound."""
        if self.pairs is None:
            if not math.isnan(self.value):
                raise SolverFailed(f"solver '{self.run.solver}' gave the value {self.value} without a decision")
            return
        broken = self.problem.violations(self.pairs)
        if broken:
            raise SolverFailed(f"solver '{self.run.solver}' returned no decision: " + "; ".join(broken))
        if self.problem.value(self.pairs) != self.value:
            raise SolverFailed(f"solver '{self.run.solver}' claims the value {self.value}, which its pairs do not have")
        if self.bound > self.value:
            raise SolverFailed(f"solver '{self.run.solver}' claims a bound {self.bound} above its value {self.value}")

    def summary(self) -> str:
        """Return the result in a few lines for a reader."""
        count = "none" if self.pairs is None else str(len(self.pairs))
        lines = [
            self.status.value,
            f"value {self.value:.8g}, bound {self.bound:.8g}, gap {self.gap:.3g}, pairs {count}",
            f"{self.run.solver} ({self.run.backend} {self.run.version}), seed {self.run.seed}, "
            f"threads {self.run.threads}, build {self.build_seconds:.3g} s, solve {self.solve_seconds:.3g} s",
        ]
        return "\n".join([*lines, self.run.note] if self.run.note else lines)

    def __str__(self) -> str:
        return self.summary()


def relative_gap(value: float, bound: float) -> float:
    """Return ``(value - bound) / max(|value|, 1e-300)``, at least 0."""
    return max(0.0, (value - bound) / max(abs(value), TINY))
