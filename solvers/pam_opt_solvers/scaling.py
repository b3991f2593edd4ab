"""Costs times a power of two for backends that want whole numbers, or numbers of moderate size."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Scaling:
    """Costs times a power of two, and what that may hide.

    Parameters
    ----------
    values : (v,) float64, scaled costs
    exponent : of the scale
    worst : largest error of one entry, in the units of the costs
    terms : how many costs a decision sums
    constant : what a decision pays beside them
    """

    values: NDArray[np.float64]
    exponent: int
    worst: float
    terms: int
    constant: float = 0.0

    @classmethod
    def of(
        cls, costs: NDArray[np.float64], bits: int, terms: int, worst: float = 0.0, constant: float = 0.0
    ) -> "Scaling":
        """Scale costs, exactly, so that the largest magnitude is just below ``2**bits``."""
        top = float(np.abs(costs).max(initial=0.0))
        exponent = bits - int(np.frexp(top)[1]) if top else 0
        return cls(np.ldexp(costs, exponent), exponent, worst, terms, constant)

    def rounded(self) -> "Scaling":
        """Return the scaling with whole values and the error that rounding them makes."""
        whole = np.rint(self.values)
        rounding = float(np.abs(whole - self.values).max(initial=0.0))
        return replace(self, values=whole, worst=self.worst + float(np.ldexp(rounding, -self.exponent)))

    @property
    def integers(self) -> NDArray[np.int64]:
        """The whole values as int64."""
        return self.values.astype(np.int64)

    @property
    def error(self) -> float:
        """How much better than the scaled optimum the true one may be: two sums of rounded costs differ."""
        return 2 * self.terms * self.worst

    @property
    def note(self) -> str:
        """The line of the run record: scale and worst rounding error of the whole sum."""
        return f"integer scale 2**{self.exponent}, worst rounding error {self.error:.3g}"

    def tolerated(self, tolerance: float, increment: float = 0.0) -> float:
        """Return ``error`` plus what a tolerance on each scaled cost and one on the whole sum may hide."""
        return self.error + float(np.ldexp(2 * self.terms * tolerance + increment, -self.exponent))

    def to_value(self, objective: float) -> float:
        """Return the problem's value that a scaled objective, or a bound on it, stands for."""
        return self.constant + float(np.ldexp(objective, -self.exponent)) if math.isfinite(objective) else objective
