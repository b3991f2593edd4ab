"""Linear rows that every grouping within a joint budget satisfies and that a given set breaks.

Two kinds. A *support* of the set function, ``f(T) >= k + sum_T c_u``, gives ``sum_u c_u x_u <= limit - k``. A *cover*
C is a smallest set (no member to spare) that breaks the budget; f is monotone, so ``sum_C x_u <= |C| - 1`` [1]. A cover
is extended to E by units that may stand in for any of its members: if every |C| units of E break the budget, then
``sum_E x_u <= |C| - 1``.

[1] E. Balas, "Facets of the knapsack polytope", Mathematical Programming 8, 1975, doi:10.1007/BF01580440, for linear f.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.budgets import JointBudget

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

Row = tuple[Floats, float]
"""Coefficients (n,), at least 0, and right side."""

COVERS = 4
"""Disjoint covers taken from one set."""

TESTS = 64
"""Sets evaluated at most to extend a cover."""

SHARES = (0.9, 0.5, 0.1)
"""A fractional choice is cut by the supports at the sets of units that are in by more than these parts."""

LEAST_BREACH = 1e-4
"""Part of its right side by which a fractional choice must break a row for it to be worth having."""

NOTHING = 1e-9
"""Part of the largest coefficient below which one is left out, which keeps a row valid."""


def sharp_rows(budget: JointBudget, members: Indices) -> Iterator[Row]:
    """Yield rows that hold for every decision within the budget; if ``members`` breaks the budget, it breaks them."""
    yield from support_rows(budget, members, np.zeros(budget.function.size))
    for cover in covers(budget, members):
        extended = extend(budget, cover)
        coefficients = np.zeros(budget.function.size)
        coefficients[extended] = 1.0
        yield coefficients, len(cover) - 1.0


def support_rows(budget: JointBudget, members: Indices, preference: Floats) -> Iterator[Row]:
    """Yield the rows of the supports at ``members``; see `SetFunction.supports`."""
    for support in budget.function.supports(members, preference):
        small = support.coefficients < NOTHING * support.coefficients.max(initial=0.0)
        yield np.where(small, 0.0, support.coefficients), budget.allowed - support.constant


def broken_rows(budget: JointBudget, shares: Floats) -> Iterator[Row]:
    """Yield rows that a fractional choice breaks.

    Parameters
    ----------
    shares : (n,) part of each unit in the budget's groups, 0 to 1
    """
    counts = {0, round(float(shares.sum())), *(int((shares > share).sum()) for share in SHARES)}
    order = np.argsort(-shares, kind="stable")
    for count in sorted(counts):
        for row in support_rows(budget, np.sort(order[:count]), shares):
            if row[0] @ shares > row[1] * (1 + LEAST_BREACH):
                yield row


def covers(budget: JointBudget, members: Indices) -> Iterator[Indices]:
    """Yield disjoint smallest sets within ``members`` that break the budget."""
    for _ in range(COVERS):
        if budget.function.value(members) <= budget.allowed:
            return
        cover = smallest(budget, members)
        yield cover
        members = np.setdiff1d(members, cover)


def smallest(budget: JointBudget, members: Indices) -> Indices:
    """Return members that break the budget together and no longer without any one of them."""
    alone = budget.function.added(np.zeros(0, np.int64))[members]
    ordered = members[np.argsort(-alone, kind="stable")]
    low, high = 0, len(ordered)  # the first ``low`` keep the budget, the first ``high`` break it
    while high - low > 1:
        middle = (low + high) // 2
        if budget.function.value(ordered[:middle]) > budget.allowed:
            high = middle
        else:
            low = middle
    cover = ordered[:high]
    while len(cover) > 1:
        without = budget.function.removed(cover)
        spare = int(without.argmax())
        if without[spare] <= budget.allowed:
            break
        cover = np.delete(cover, spare)
    return np.sort(cover)


def extend(budget: JointBudget, cover: Indices) -> Indices:
    """Return a cover with units such that any ``len(cover)`` of all of them break the budget."""
    extended, size = cover, len(cover)
    least = np.full(budget.function.size, np.inf)
    for member in range(size):
        least = np.minimum(least, budget.function.added(np.delete(cover, member)))
    least[cover] = -np.inf
    tests = 0
    for unit in np.argsort(-least, kind="stable"):
        if least[unit] <= budget.allowed:
            break
        # With ``least``, sets of the unit and members of the cover are tested; those with other extensions are not.
        for others in combinations(extended.tolist(), size - 1):
            if set(others) <= set(cover.tolist()):
                continue
            tests += 1
            if tests > TESTS:
                return np.sort(extended)
            if budget.function.value(np.array([*others, unit], np.int64)) <= budget.allowed:
                break
        else:
            extended = np.append(extended, unit)
    return np.sort(extended)
