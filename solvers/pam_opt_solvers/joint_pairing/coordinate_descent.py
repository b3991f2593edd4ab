"""Coordinate descent on a joint pairing: the weight matching of Git Re-Basin, from several starts.

One space after the other, in random order, gets its best assignment given all others, until none gains [1].
The value never rises. On chains whose ends are fixed that finds planted permutations; on residual streams,
whose one space meets only spaces that are as unknown as itself, it mostly ends in a poor local optimum.

[1] S. K. Ainsworth, J. Hayase and S. Srinivasa, "Git Re-Basin: merging models modulo permutation
symmetries", ICLR 2023, arXiv:2209.04836.
"""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.matching import Matching
from pam_opt_solvers.joint_pairing.restarts import restarted
from pam_opt_solvers.joint_pairing.starts import random_start, signature_start
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.solver import Solver


class CoordinateDescent(Solver[Matching]):
    """Assign one space after the other; first from the parents' own order, then from random ones."""

    name = "coordinate_descent"
    backend = "scipy"
    module = "scipy.optimize"
    takes = frozenset({"joint_pairing"})
    exact = False
    description = "heuristic; one space after the other (weight matching of Git Re-Basin), with restarts"
    settings = MappingProxyType({"start": ("random", "signatures"), "starts": ("10", "1", "3", "30", "100")})
    stops_itself = True

    def _build(self, problem: JointPairing, options: Options) -> Matching:
        return Matching(problem)

    def _run(self, model: Matching, problem: JointPairing, options: Options) -> Outcome:
        def start(attempt: int, generator: np.random.Generator, stop: Callable[[], bool]) -> list[NDArray[np.int64]]:
            if attempt == 0 and options.settings["start"] == "signatures":
                return signature_start(problem)
            return random_start(problem.sizes, generator)

        return restarted(model, problem, options, start)
