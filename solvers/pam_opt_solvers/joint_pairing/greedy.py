"""Greedy joint pairing: spaces one by one and once, each by what is known already; the usual baseline.

The next space is the one with most weight towards fixed sides and spaces already paired. Where nothing is
known of any (a residual stream without fixed ends), the largest is paired by its linear costs alone, which is
as good as at random.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.matching import Matching, best_assignment
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.problems.layer_pair import FIXED
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Permutation = NDArray[np.int64]


class Greedy(Solver[Matching]):
    """Pair one space after the other by what is known, without looking back."""

    name = "greedy"
    backend = "scipy"
    module = "scipy.optimize"
    takes = frozenset({"joint_pairing"})
    exact = False
    description = "baseline; one space after the other by what is known, once"

    def _build(self, problem: JointPairing, options: Options) -> Matching:
        return Matching(problem)

    def _run(self, model: Matching, problem: JointPairing, options: Options) -> Outcome:
        known: list[Permutation | None] = [None] * len(model.sizes)
        search = Search(problem, options.time_limit)
        while any(p is None for p in known) and not search.out_of_time:
            space = max((s for s, p in enumerate(known) if p is None), key=lambda s: (_known(model, s, known), -s))
            known[space] = best_assignment(model.worth(space, known))
        search.offer(problem.join([np.arange(n) if p is None else p for n, p in zip(model.sizes, known, strict=True)]))
        return search.outcome()


def _known(matching: Matching, space: int, known: list[Permutation | None]) -> float:
    """Return the squared weight of a space's layers whose other side is known."""
    decided = (s for s in matching.sides[space] if s.other == FIXED or known[s.other] is not None)
    linear = matching.linear[space]
    return sum(float(np.vdot(s.first, s.first)) for s in decided) + (
        0.0 if linear is None else float(np.abs(linear).sum())
    )
