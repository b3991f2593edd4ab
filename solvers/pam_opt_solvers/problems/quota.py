"""Quotas: least and most kept units of every class, such as a parent or a group."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_array, as_int64

MOST_CLASSES = 2**20
"""A label above this is a mistake, not a class."""


@dataclass(frozen=True, eq=False, repr=False)
class Quota:
    """Keep at least ``least[c]`` and at most ``most[c]`` units of every class c.

    Parameters
    ----------
    labels : (n,) integers 0..c - 1, class of every unit
    least : (c,) integers >= 0, or one for all classes
    most : (c,) integers >= 0, or one for all classes; ``None`` = no upper limit
    name : what messages call it, such as ``parent``

    Raises
    ------
    ProblemError
        for labels or limits that are no such integers

    Examples
    --------
    >>> Quota([0, 0, 1, 1], least=1, name="parent").most.tolist()
    [4, 4]
    """

    labels: NDArray[np.int64]
    least: NDArray[np.int64] | int = 0
    most: NDArray[np.int64] | int | None = None
    name: str = "quota"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ProblemError(f"a quota's name must be text, not {self.name!r}")
        object.__setattr__(self, "labels", whole_numbers(self.labels, f"{self.name} labels", MOST_CLASSES))
        classes = self._classes
        most = len(self.labels) if self.most is None else self.most
        for key, given in (("least", self.least), ("most", most)):
            limit = as_array(given, f"{self.name} {key}")
            spread = limit if limit.ndim else np.full(classes, limit)
            object.__setattr__(self, key, whole_numbers(spread, f"{self.name} {key}", None, at_least=classes))

    @property
    def _classes(self) -> int:
        limits = [len(limit) for limit in (as_array(self.least, "least"), as_array(self.most, "most")) if limit.ndim]
        return max([int(self.labels.max(initial=-1)) + 1, *limits])

    def __repr__(self) -> str:
        return f"Quota({self.name}: {len(self.limits[0])} classes of {len(self.labels)} units)"

    @cached_property
    def limits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Least and most, each (c,) int64."""
        return np.asarray(self.least), np.asarray(self.most)

    def counts(self, units: NDArray[Any]) -> NDArray[np.int64]:
        """Return how many of ``units`` (indices or mask) lie in each class, (c,)."""
        return np.bincount(self.labels[units], minlength=len(self.limits[0]))

    def violations(self, kept: NDArray[Any]) -> tuple[str, ...]:
        """List in words the classes whose limits the kept units break."""
        counts, (least, most) = self.counts(kept), self.limits
        bad = np.flatnonzero((counts < least) | (counts > most))
        return tuple(
            f"{counts[c]} kept units of {self.name} class {c}, which takes {least[c]}..{most[c]}" for c in bad[:3]
        )


def whole_numbers(values: Any, name: str, largest: int | None, at_least: int = 0) -> NDArray[np.int64]:
    """Convert to a read-only (n,) int64 array of numbers in ``0..largest``, or say what is wrong.

    Parameters
    ----------
    at_least : shortest permitted length
    """
    array = as_int64(values, name, (None,))
    if len(array) < at_least:
        raise ProblemError(f"{name} has {len(array)} entries; the labels need {at_least}")
    top = np.iinfo(np.int64).max if largest is None else largest
    bad = np.flatnonzero((array < 0) | (array > top))
    if len(bad):
        raise ProblemError(f"{name}[{bad[0]}] is {array[bad[0]]}; it must lie in 0..{top}")
    return array
