"""What a solver hands back: a decision that keeps its problem and can judge itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.outcome import Status, Trajectory
from pam_opt_solvers.problems.problem import Problem

TINY = 1e-300
"""Least denominator of a gap."""


@dataclass(frozen=True)
class Run:
    """What ran.

    Parameters
    ----------
    solver : name in the solver table, with its engine where it has several (``math_opt:glop``)
    backend, version : package that solved it and its version; this package's own where it needs none
    seed, threads : as used
    options : the solver's own settings as used
    repeatable : whether the same call gives the same decision on the same machine
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
    decision : int64 in the problem's canonical form, read-only; ``None`` = no decision
    status : how the solve ended
    value : recomputed from the problem's own costs; NaN without a decision
    bound : best proven lower bound on every decision, less the rounding of integer backends; +inf when
        infeasible
    gap : ``(value - bound) / max(|value|, 1e-300)``; 0.0 when proven, NaN without a decision
    build_seconds, solve_seconds : wall time of writing the model and of running it
    run : what ran
    trajectory : (second of the run, best value, best bound) at every improvement, of anytime methods
    """

    problem: Problem = field(repr=False)
    decision: NDArray[np.int64] | None = field(repr=False)
    status: Status
    value: float
    bound: float
    gap: float
    build_seconds: float
    solve_seconds: float
    run: Run
    trajectory: Trajectory = field(default=(), repr=False)

    @property
    def pairs(self) -> NDArray[np.int64] | None:
        """The decision of a pairing: (k, 2) int64, row and column of each pair, sorted by row."""
        return self.decision

    def check(self) -> None:
        """Raise ``SolverFailed`` unless the decision is valid, has this value and respects the bound."""
        if self.decision is None:
            if not math.isnan(self.value):
                raise SolverFailed(f"solver '{self.run.solver}' gave the value {self.value} without a decision")
            return
        broken = self.problem.violations(self.decision)
        if broken:
            raise SolverFailed(f"solver '{self.run.solver}' returned no decision: " + "; ".join(broken))
        if self.problem.value(self.decision) != self.value:
            raise SolverFailed(
                f"solver '{self.run.solver}' claims the value {self.value}, which its decision does not have"
            )
        if self.bound > self.value:
            raise SolverFailed(f"solver '{self.run.solver}' claims a bound {self.bound} above its value {self.value}")

    def summary(self) -> str:
        """Return the result in a few lines for a reader."""
        outline = "no decision" if self.decision is None else self.problem.describe(self.decision)
        lines = [
            self.status.value,
            f"value {self.value:.8g}, bound {self.bound:.8g}, gap {self.gap:.3g}, {outline}",
            f"{self.run.solver} ({self.run.backend} {self.run.version}), seed {self.run.seed}, "
            f"threads {self.run.threads}, build {self.build_seconds:.3g} s, solve {self.solve_seconds:.3g} s",
        ]
        return "\n".join([*lines, self.run.note] if self.run.note else lines)

    def __str__(self) -> str:
        return self.summary()


def relative_gap(value: float, bound: float) -> float:
    """Return ``(value - bound) / max(|value|, 1e-300)``, at least 0."""
    return max(0.0, (float(value) - float(bound)) / max(abs(float(value)), TINY))
