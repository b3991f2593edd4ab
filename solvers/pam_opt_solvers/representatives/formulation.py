"""The integer programme that backends get: the strong formulation, reduced first where that pays.

From some thousand pairs on, a quick Lagrangian bound and interchange show most units and pairs to be in no better
decision than the one found; the programme leaves them out and keeps that decision.
"""

import numpy as np

from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.ascent import Effort, ascend, first_multipliers
from pam_opt_solvers.representatives.primal import added, improved
from pam_opt_solvers.representatives.program import strong_program, useful_pairs, write_program
from pam_opt_solvers.representatives.reduced import reduce
from pam_opt_solvers.representatives.relaxation import Relaxation
from pam_opt_solvers.representatives.scaled import Scaled
from pam_opt_solvers.search import Search

SMALL = 4000
"""Pairs up to which the whole programme is written."""

SLACK = 1e-7
"""Part of the value by which a decision may be worse and stay in the programme: the known one must."""


def integer_program(problem: Representatives) -> IntegerProgram:
    """Return the programme of a problem, reduced where it is large and a decision is found.

    Raises
    ------
    SolverUnsuitable
        above a million pairs that may matter
    """
    pairs = useful_pairs(problem)
    reduced = _reduced(problem) if pairs.sum() > SMALL else None
    return strong_program(problem, pairs) if reduced is None else reduced


def _reduced(problem: Representatives) -> IntegerProgram | None:
    scaled = Scaled.of(problem)
    search, relaxation = Search(problem, None), Relaxation.of(scaled)
    kept = added(search, scaled)
    if kept is None:
        return None
    state = improved(search, scaled, kept)
    if search.decision is None:
        return None
    value = float(np.ldexp(search.value, -scaled.exponent))
    target = value + SLACK * abs(value) + scaled.size * np.finfo(np.float64).eps
    start = first_multipliers(relaxation, state)
    point = ascend(relaxation, start, lambda: value, lambda point: point.bound >= value, effort=Effort(last=0.02))
    remaining = reduce(relaxation, point, target)
    return write_program(problem, problem.permitted, remaining.keepable, remaining.pairs, certain=remaining.certain)
