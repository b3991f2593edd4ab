"""Solvers that break the contract in ways no single solve shows: the suite must find them out."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers import Options, Outcome, Pairing, Representatives, Status
from pam_opt_toys.random_ import Random
from pam_opt_toys.subsets import Subsets


class Boaster(Subsets):
    """Claim that the dearest decision is the cheapest."""

    name = "toy_boaster"

    def _build(self, problem: Pairing, options: Options) -> NDArray[np.float64]:
        return np.where(problem.weights < np.inf, -problem.weights, np.inf)


class Overshooter(Random):
    """Claim a bound just below the value, whatever the optimum."""

    name = "toy_overshooter"

    def _run(self, model: int, problem: Representatives, options: Options) -> Outcome:
        found = super()._run(model, problem, options)
        value = problem.value(found.decision)
        return replace(found, status=Status.FEASIBLE, bound=value - 1e-3 * abs(value))


class Drifter(Random):
    """Return another decision at every call."""

    name = "toy_drifter"
    calls = 0

    def _run(self, model: int, problem: Representatives, options: Options) -> Outcome:
        Drifter.calls += 1
        return super()._run(model, problem, replace(options, seed=Drifter.calls))
