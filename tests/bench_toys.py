"""Solvers that misbehave in the ways a harness must survive, and families; written to a folder and announced there."""

from pathlib import Path

SOLVERS = '''
"""Solvers that misbehave."""

import os
import signal
import time
from typing import ClassVar

import numpy as np

from pam_opt_solvers import Outcome, Solver, Status


class Diagonal(Solver):
    """Pair equal indices, slowly if asked."""

    name = "diagonal"
    takes = frozenset({"pairing"})
    exact = False
    features: ClassVar[frozenset] = frozenset()
    description = "toy"

    def worst_seconds(self, problem):
        return 0.0  # stays in the cell's own process

    def _build(self, problem, options):
        return min(problem.shape)

    def _run(self, model, problem, options):
        time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
        return Outcome(Status.FEASIBLE, np.column_stack([np.arange(model)] * 2))


class Stubborn(Diagonal):
    """Ignore every limit."""

    name = "stubborn"

    def _run(self, model, problem, options):
        time.sleep(600)


class Hog(Diagonal):
    """Take memory until stopped."""

    name = "hog"

    def _run(self, model, problem, options):
        held = []
        while True:
            held.append(np.ones(2**20))
            time.sleep(0.002)


class Dying(Diagonal):
    """Take the process down."""

    name = "dying"

    def _run(self, model, problem, options):
        os.kill(os.getpid(), signal.SIGSEGV)


class Broken(Diagonal):
    """Break in the backend."""

    name = "broken"

    def _run(self, model, problem, options):
        raise IndexError("inside the backend")


class Allocator(Diagonal):
    """Fail to allocate."""

    name = "allocator"

    def _run(self, model, problem, options):
        raise MemoryError("no more")


class Missing(Diagonal):
    """Need a package that nobody has."""

    name = "missing"
    backend = "no_such_package_at_all"


class Anytime(Diagonal):
    """Hand over a trajectory."""

    name = "anytime"

    def _run(self, model, problem, options):
        decision = np.column_stack([np.arange(model)] * 2)
        value = problem.value(decision)
        points = ((0.1, value + 1, -5.0), (0.2, value, -4.0))
        return Outcome(Status.TIME_LIMIT, decision, -4.0, trajectory=points)
'''

FAMILIES = '''
import numpy as np

from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import family


@family("toy", problem="pairing", sizes=(3, 5), severities=(0.0, 1.0), dial="shift (1)")
def toy(size, severity, seed):
    """Uniform costs."""
    return Pairing(np.random.default_rng(seed).random((size, size)) + severity)


@family("barred", problem="pairing", sizes=(3,))
def barred(size, severity, seed):
    """A forbidden pair."""
    cost = np.ones((size, size))
    cost[0, 0] = np.inf
    return Pairing(cost)


@family("faulty", problem="pairing", sizes=(3,))
def faulty(size, severity, seed):
    """Break."""
    raise ZeroDivisionError("no such instance")
'''


def announce(folder: Path) -> None:
    """Write the solvers and families to a folder; with the folder in the path, the solvers are found."""
    (folder / "bench_toy_solvers.py").write_text(SOLVERS)
    info = folder / "bench_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-toys\nVersion: 1.0\n")
    names = ["diagonal", "stubborn", "hog", "dying", "broken", "missing", "anytime", "allocator"]
    lines = [f"{name} = bench_toy_solvers:{name.capitalize()}" for name in names]
    (info / "entry_points.txt").write_text("[pam_opt.solvers]\n" + "\n".join(lines) + "\n")
    (folder / "instances").mkdir()
    (folder / "instances" / "toy.py").write_text(FAMILIES)
