"""Who represents whom once the kept units are known: the nearest one, or with capacities a transportation problem."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.problems.representatives import Representatives

Indices = NDArray[np.int64]


def represent(problem: Representatives, kept: Indices) -> Indices | None:
    """Return the best representatives (n,) among the kept units (p,); ``None`` = some unit has none.

    With capacities it is optimal too: every kept unit becomes as many columns of an assignment as it may take.
    """
    if not len(kept):
        return None if problem.size else np.zeros(0, np.int64)
    kept = np.sort(kept)
    costs = problem.permitted[:, kept]
    found = kept[costs.argmin(axis=1)]
    found[kept] = kept
    if np.isinf(problem.permitted[np.arange(problem.size), found]).any():
        return None
    capacities = problem.binding_capacities
    if capacities is None:
        return found
    loads = np.bincount(found, minlength=problem.size)[kept] - 1
    surplus = int(np.maximum(loads - capacities[kept], 0).sum())
    return found if surplus == 0 else _transport(problem, kept, np.minimum(capacities[kept], loads + surplus))


def _transport(problem: Representatives, kept: Indices, slots: Indices) -> Indices | None:
    """Assign under capacities. Each surplus unit moves along one path, so no load grows by more than the surplus."""
    units = np.setdiff1d(np.arange(problem.size), kept)
    if slots.sum() < len(units):
        return None
    columns = np.repeat(kept, slots)
    # The assignment's sums must stay finite: scaling by a power of two changes no comparison.
    exponent = int(np.frexp(problem.magnitude)[1])
    try:
        rows, chosen = matched(np.ldexp(problem.permitted[np.ix_(units, columns)], -exponent))
    except ValueError:  # no complete assignment of finite cost
        return None
    found = np.arange(problem.size)
    found[units[rows]] = columns[chosen]
    return found
