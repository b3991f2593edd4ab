"""Set functions of joint budgets: how much a set of units says together, e.g. about a task's label.

A new one is a class here (or elsewhere) and one entry in ``SET_FUNCTIONS``. The empty set has 0, and a larger set
never has a smaller value, or the class says ``monotone = False`` and that it is meant to. Of a budget on such a
function, solvers prove that no decision is better whose sets keep it *in every part*, which is the same thing for a
monotone one. Everything but ``value`` and the two methods of storage has a default that calls ``value``; override it
where all units at once are cheaper.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Support:
    """A modular lower bound: ``f(T) >= constant + sum of coefficients over T`` for every set T.

    Parameters
    ----------
    constant : at most 0
    coefficients : (n,) float64, at least 0
    """

    constant: float
    coefficients: Floats


class Growth:
    """A set that grows by one unit at a time, with the value of every next step.

    Parameters
    ----------
    function : what to evaluate
    """

    def __init__(self, function: "SetFunction") -> None:
        self._function = function
        self._members: list[int] = []

    def candidates(self) -> Floats:
        """Return (n,) the value after adding each unit; members keep the present value."""
        return self._function.added(np.array(self._members, np.int64))

    def add(self, unit: int) -> None:
        """Put a unit in."""
        self._members.append(unit)


class SetFunction(ABC):
    """A monotone function of sets of ``size`` units, made of arrays so that it can be stored.

    Attributes
    ----------
    kind : its name in ``SET_FUNCTIONS`` and in files
    rounding : by how much a value may be off
    monotone : whether it is certain that values never fall when units are added
    """

    kind: ClassVar[str]
    rounding: ClassVar[float] = 0.0
    monotone: ClassVar[bool] = True

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of units n of the ground set."""

    @abstractmethod
    def value(self, members: Indices) -> float:
        """Return f of a set, given as (s,) distinct unit indices."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what it is made of, by name, for storage; the names are those of its parameters."""

    def added(self, members: Indices) -> Floats:
        """Return (n,) the value with each unit added; f(members) for those already in."""
        values = np.full(self.size, self.value(members))
        for unit in np.setdiff1d(np.arange(self.size), members):
            values[unit] = self.value(np.append(members, unit))
        return values

    def removed(self, members: Indices) -> Floats:
        """Return (s,) the value with each member left out."""
        return np.array([self.value(np.delete(members, place)) for place in range(len(members))])

    def pairs(self, members: Indices, candidates: Indices) -> Floats:
        """Return (c, c) the value with each two of (c,) candidates added; on the diagonal with each one alone."""
        values = np.empty((len(candidates), len(candidates)))
        for place, unit in enumerate(candidates):
            values[place] = values[:, place] = self.added(np.append(members, unit))[candidates]
        return values

    def idle(self) -> NDArray[np.bool_]:
        """Return (n,) the units that certainly add nothing to any set."""
        return np.zeros(self.size, bool)

    def grow(self) -> Growth:
        """Return an empty set to be grown unit by unit."""
        return Growth(self)

    def least_set(self, limit: float, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (n,) a set grown by the unit that adds least, of those ``among`` (n,), while it is within a limit."""
        growth, chosen = self.grow(), np.zeros(self.size, bool)
        while not chosen[among].all():
            values = np.where(among & ~chosen, growth.candidates(), np.inf)
            unit = int(values.argmin())
            if values[unit] > limit:
                break
            growth.add(unit)
            chosen[unit] = True
        return chosen

    def supports(self, members: Indices, preference: Floats) -> tuple[Support, ...]:
        """Return modular lower bounds that are tight at ``members``, if the function's structure has any.

        Parameters
        ----------
        members : (s,) distinct units
        preference : (n,) the higher, the more a bound should say about the unit
        """
        return ()


SET_FUNCTIONS: dict[str, str] = {
    "gaussian_information": "pam_opt_solvers.problems.gaussian_information:GaussianInformation",
    "kernel_information": "pam_opt_solvers.problems.kernel_information:KernelInformation",
}
"""``module:Class`` of every set function that files may name."""
