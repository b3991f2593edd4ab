"""Greedy adding: keep the unit that lowers the total most, again and again; every count on the way [1].

[1] A. A. Kuehn and M. J. Hamburger, "A heuristic program for locating warehouses", Management Science 9(4), 1963,
doi:10.1287/mnsc.9.4.643.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.representatives.interchange import state_of
from pam_opt_solvers.representatives.scaled import Scaled

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]


class Adding:
    """Kept units so far, and what each further one would gain.

    Only rows whose representative changed are looked at again, so that n additions cost little more than
    ``O(n^2 log n)``.
    """

    def __init__(self, scaled: Scaled, kept: Indices | None = None) -> None:
        self.scaled = scaled
        self.kept: list[int] = [] if kept is None else kept.tolist()
        self.is_kept = np.zeros(scaled.size, bool)
        self.is_kept[self.kept] = True
        self.paid = np.full(scaled.size, scaled.penalty)
        if kept is not None and len(kept):
            self.paid = state_of(scaled, kept).first.copy()
        self.gains = self._gains(np.flatnonzero(~self.is_kept), self.paid)

    def _gains(self, rows: Indices, paid: Vector) -> Vector:
        """Return what each column would save these rows, (n,)."""
        total = np.zeros(self.scaled.size)
        step = max(1, 2**20 // max(1, self.scaled.size))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            total += np.maximum(paid[part, None] - self.scaled.others[part], 0.0).sum(axis=0)
        return total

    def _enter(self, unit: int) -> Indices:
        """Keep a unit; return the rows that it changed."""
        closer = (self.scaled.others[:, unit] < self.paid) & ~self.is_kept
        closer[unit] = True
        rows = np.flatnonzero(closer)
        self.kept.append(unit)
        self.is_kept[unit] = True
        self.paid[rows] = np.minimum(self.paid[rows], self.scaled.others[rows, unit])
        self.paid[unit] = self.scaled.keeping[unit]
        return rows

    @property
    def changes(self) -> Vector:
        """(n,) what keeping each further unit adds to the total; +inf where it may not be kept."""
        change = self.scaled.keeping - self.paid - self.gains
        change[self.is_kept] = np.inf
        return change

    def add(self, unit: int) -> None:
        """Keep a further unit."""
        before = self.paid.copy()
        rows = self._enter(unit)
        still = rows[rows != unit]
        if (before[rows] >= self.scaled.penalty).any():
            # Differences with the large penalty would leave its rounding behind.
            self.gains = self._gains(np.flatnonzero(~self.is_kept), self.paid)
        else:
            self.gains += self._gains(still, self.paid) - self._gains(rows, before)


def greedy_adding(scaled: Scaled, over: Callable[[], bool], kept: Indices | None = None) -> Indices:
    """Return kept units in the order of adding, within the count and, as far as adding sees, the quotas.

    Parameters
    ----------
    over : whether to stop early; asked once the first unit is kept
    kept : units to start from
    """
    problem, adding = scaled.problem, Adding(scaled, kept)
    while len(adding.kept) < problem.n_kept and not (adding.kept and over()):
        change, owed = _within_quotas(scaled, adding)
        unit = int(change.argmin())
        if change[unit] == np.inf or (problem.at_most and adding.kept and not owed and change[unit] >= 0):
            break
        adding.add(unit)
    return np.array(adding.kept, np.int64)


def _within_quotas(scaled: Scaled, adding: Adding) -> tuple[Vector, bool]:
    """Return the changes, +inf where a quota is full or what it still needs leaves no room; and whether any is owed."""
    change, room, owed = adding.changes, scaled.problem.n_kept - len(adding.kept), False
    for quota in scaled.problem.quotas:
        counts, (least, most) = quota.counts(np.array(adding.kept, np.int64)), quota.limits
        missing = np.maximum(least - counts, 0)
        change[(counts >= most)[quota.labels]] = np.inf
        if missing.sum() >= room or (scaled.problem.at_most and missing.any() and change.min() >= 0):
            change[(missing == 0)[quota.labels]] = np.inf
        owed = owed or bool(missing.any())
    return change, owed
