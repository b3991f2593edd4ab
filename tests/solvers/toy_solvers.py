"""Solvers as an outsider would write them, good and bad, loaded by the tests as ``toy_solvers:Class``."""

import os
import time
from typing import ClassVar

import numpy as np

from pam_opt_solvers import Feature, Options, Outcome, Pairing, Solver, Status


class Diagonal(Solver[int]):
    """Pair equal indices; takes plain square problems only."""

    name = "diagonal"
    exact = False
    features: ClassVar[frozenset[Feature]] = frozenset()
    description = "toy; the diagonal"

    def _build(self, problem: Pairing, options: Options) -> int:
        return min(problem.shape)

    def _run(self, model: int, problem: Pairing, options: Options) -> Outcome:
        return Outcome(Status.FEASIBLE, np.column_stack([np.arange(model)] * 2))


class Sleepy(Diagonal):
    """Ignore every time limit."""

    name = "sleepy"

    def _run(self, model: int, problem: Pairing, options: Options) -> Outcome:
        time.sleep(60)
        return super()._run(model, problem, options)


class Quick(Diagonal):
    """Answer at once, with no estimate: it runs in a process of its own under a limit."""

    name = "quick"


class Broken(Diagonal):
    """Break in the backend."""

    name = "broken"

    def _run(self, model: int, problem: Pairing, options: Options) -> Outcome:
        raise IndexError("inside the backend")


class Dying(Diagonal):
    """Take the whole process down, as native code may."""

    name = "dying"

    def _run(self, model: int, problem: Pairing, options: Options) -> Outcome:
        os.abort()


class Liar(Diagonal):
    """Return no decision of the problem as its optimum."""

    name = "liar"

    def _run(self, model: int, problem: Pairing, options: Options) -> Outcome:
        return Outcome(Status.OPTIMAL, np.zeros((model, 2), np.int64))


class Denier(Diagonal):
    """Call every problem infeasible."""

    name = "denier"

    def _run(self, model: int, problem: Pairing, options: Options) -> Outcome:
        return Outcome(Status.INFEASIBLE)


class Missing(Diagonal):
    """Need a package that nobody has."""

    name = "missing"
    backend = "no_such_package_at_all"


class NoSolver:
    """Not a solver."""
