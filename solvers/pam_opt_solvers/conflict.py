"""Why an integer programme has no solution: side constraints that exclude each other, none of them superfluous."""

from collections.abc import Sequence

import numpy as np

from pam_opt_solvers.highs import INFEASIBLE, minimise
from pam_opt_solvers.integer_program import IntegerProgram

SECONDS = 2.0
"""For each of the small questions; one that takes longer leaves its constraint in."""


def conflict(program: IntegerProgram) -> str:
    """Name side constraints that no solution meets together, though it could meet all but any one of them.

    One constraint after the other is left out; it stays out where the rest has no solution still (a deletion
    filter [1]). The set cannot be made smaller, though another may be. Empty = the programme names no
    constraints, or has no solution without any of them.

    References
    ----------
    .. [1] J. W. Chinneck and E. W. Dravnieks, "Locating minimal infeasible constraint sets in linear programs",
       ORSA Journal on Computing 3(2), 1991, doi:10.1287/ijoc.3.2.157
    """
    names = list(dict.fromkeys(program.row_names.values()))
    if not names or _certainly_empty(program, keep=()):
        return ""
    kept = list(names)
    for name in names:
        rest = [other for other in kept if other != name]
        if _certainly_empty(program, rest):
            kept = rest
    return f"no decision meets together: {', '.join(kept)}; relax one of them"


def _certainly_empty(program: IntegerProgram, keep: Sequence[str]) -> bool:
    rows = np.array([program.row_names.get(row, "") in ("", *keep) for row in range(program.size[0])], bool)
    return minimise(program, np.zeros(program.size[1]), rows=rows, time_limit=SECONDS).status == INFEASIBLE
