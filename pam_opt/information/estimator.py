"""What every estimator offers: the information of a set of units, and sets that grow unit by unit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import torch

from pam_opt.errors import DataError, PlanError
from pam_opt.information.variables import label_variables


class Growth(ABC):
    """A set of units that grows; starts empty.

    Attributes
    ----------
    tolerance : largest difference between `values` and `precise`, in nats; candidates whose `values` are closer than
        twice this are told apart by `precise`
    members : the units in the set, in order
    value : information of the set, in nats, float64
    """

    tolerance: ClassVar[float] = 0.0

    def __init__(self, units: int, device: torch.device) -> None:
        self.members: list[int] = []
        self.value = 0.0
        self._inside = torch.zeros(units, dtype=torch.bool, device=device)

    def values(self, candidates: torch.Tensor | None = None) -> torch.Tensor:
        """Return the information with each candidate added; a member gives the present value.

        Parameters
        ----------
        candidates : (n,) int64 units; default all

        Returns
        -------
        (n,) float64, nats, on the estimator's device; identical units get identical values
        """
        return self._but_members(candidates, self._values)

    def precise(self, candidates: torch.Tensor | None = None) -> torch.Tensor:
        """Return what `values` does, in float64 throughout: slower, to tell near ties apart."""
        return self._but_members(candidates, self._precise)

    def add(self, unit: int) -> None:
        """Put a unit in.

        Raises
        ------
        PlanError
            if it is in already, or does not exist
        """
        if not 0 <= unit < len(self._inside):
            raise PlanError(f"unit {unit} does not exist; there are {len(self._inside)} units")
        if self._inside[unit]:
            raise PlanError(f"unit {unit} is in the set already; leave members out of the candidates")
        self._put(unit)
        self._inside[unit] = True
        self.members.append(unit)

    def _but_members(
        self, candidates: torch.Tensor | None, compute: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        if candidates is None:
            candidates = torch.arange(len(self._inside), device=self._inside.device)
        candidates = candidates.to(self._inside.device)
        found = compute(candidates)
        return found.masked_fill_(self._inside[candidates], self.value)

    @abstractmethod
    def _values(self, candidates: torch.Tensor) -> torch.Tensor:
        """Return (n,) float64, a fresh tensor."""

    def _precise(self, candidates: torch.Tensor) -> torch.Tensor:
        return self._values(candidates)

    @abstractmethod
    def _put(self, unit: int) -> None:
        """Update the set and `value`."""


class Estimator(ABC):
    """Information of sets of units about one task's labels, in nats, summed over binary labels.

    Parameters
    ----------
    values : (B, N) or (B, N, P) activations of N units on B samples, P positions each
    labels : (B, L) float zeros and ones, NaN = missing: that sample is left out for that label; or (B,) integer: one
        joint label, negative = missing. A label of which one class occurs carries no information.
    noise : variance v > 0 of the Gaussian noise that the estimator adds to every unit

    Raises
    ------
    DataError
        for wrong shapes, NaN or infinity among the activations, or labels that are none
    PlanError
        for a noise that is no variance, or activations the estimator does not take
    """

    def __init__(self, values: torch.Tensor, labels: torch.Tensor, noise: float = 0.1) -> None:
        _check(values, noise)
        self.noise = float(noise)
        self.samples, self.units = values.shape[:2]
        self._labels = label_variables(labels.to(values.device), self.samples)
        self._device = values.device

    @abstractmethod
    def for_labels(self, labels: torch.Tensor) -> Self:
        """Return the estimator of the same units for another task; what no label changes is shared."""

    @abstractmethod
    def information(self, members: Sequence[int]) -> float:
        """Return the joint information of a set of units with the task, in nats."""

    @abstractmethod
    def grow(self) -> Growth:
        """Return an empty set to be grown."""


def with_positions(values: torch.Tensor) -> torch.Tensor:
    """Return activations as (B, N, P)."""
    return values if values.ndim == 3 else values[..., None]


def _check(values: torch.Tensor, noise: float) -> None:
    if values.ndim not in (2, 3) or not values.is_floating_point() or not len(values):
        raise DataError(
            f"activations have shape {tuple(values.shape)} and dtype {values.dtype}; "
            "pass floats (samples, units) or (samples, units, positions), at least one sample"
        )
    finite = torch.isfinite(values).transpose(0, 1).flatten(1).all(dim=1)
    if not finite.all():
        unit = int((~finite).nonzero()[0])
        raise DataError(f"activations of unit {unit} hold NaN or infinity; check the weights of its parent")
    if not 0 < noise < float("inf"):
        raise PlanError(f"noise is {noise}; it must be a variance above 0")
