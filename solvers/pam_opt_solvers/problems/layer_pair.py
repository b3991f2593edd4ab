"""The same layer of two parents: its weights in both, and which units its two sides belong to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_float64

FIXED = -1
"""The space of a side that is not permuted: network inputs, class scores, a bias's only column."""

LARGEST_WEIGHT = 1e149
LEAST_WEIGHT = 1e-140
"""Squares of weights within these stay inside float64, and so do sums of 10^8 of them."""


@dataclass(frozen=True, eq=False, repr=False)
class LayerPair:
    """Hold one weight matrix of either parent and the spaces of its rows and columns.

    Parameters
    ----------
    first, second : (rows, columns) or (rows, columns, area) float64, weights of the first and of the second
        parent; kept as (rows, columns, area). A convolution is (outputs, inputs, height * width), a bias or
        the scale of a norm (units, 1) with fixed columns
    rows_space, columns_space : index of the space whose units are the rows (columns), `FIXED` = none

    Raises
    ------
    ProblemError
        for NaN, infinity, magnitudes whose squares leave float64, different shapes or a space that is no
        integer

    Examples
    --------
    >>> from pam_opt_solvers import FIXED, LayerPair
    >>> LayerPair([[1.0, 2.0]], [[2.0, 1.0]], FIXED, 0).shape
    (1, 2, 1)
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    rows_space: int = FIXED
    columns_space: int = FIXED

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            object.__setattr__(self, name, _stack(getattr(self, name), name))
        if self.first.shape != self.second.shape:
            raise ProblemError(
                f"first has shape {self.first.shape} and second {self.second.shape}; a layer pair needs equal ones, "
                "so pad the narrower parent with zero units"
            )
        for name in ("rows_space", "columns_space"):
            object.__setattr__(self, name, _space(getattr(self, name), name))
        self._check_scale()

    def __repr__(self) -> str:
        rows, columns = ("fixed" if s == FIXED else f"space {s}" for s in self.spaces)
        shape = " x ".join(map(str, self.shape))
        return f"LayerPair({shape}, rows {rows}, columns {columns})"

    def _check_scale(self) -> None:
        top = max(float(np.abs(weights).max(initial=0.0)) for weights in (self.first, self.second))
        if 0 < top < LEAST_WEIGHT:
            raise ProblemError(
                f"the largest weight is {top:g}, whose square vanishes in float64; rescale both parents' weights"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, area."""
        rows, columns, area = self.first.shape
        return rows, columns, area

    @property
    def spaces(self) -> tuple[int, int]:
        """Space of the rows and of the columns."""
        return self.rows_space, self.columns_space

    @property
    def movable(self) -> bool:
        """Whether a side is permuted."""
        return self.spaces != (FIXED, FIXED)

    def transposed(self) -> "LayerPair":
        """Return the pair with rows and columns exchanged."""
        first, second = (weights.transpose(1, 0, 2) for weights in (self.first, self.second))
        return LayerPair(first, second, self.columns_space, self.rows_space)

    def distances(self, rows: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Return the squared distance of every row, (rows,) float64, once the second parent is permuted.

        Parameters
        ----------
        rows, columns : which of the second parent's rows (columns) comes to each place; ``None`` = as it is
        """
        return np.square(self.first - self.moved(rows, columns)).sum(axis=(1, 2))

    def moved(self, rows: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Return the second parent's weights with permuted rows and columns."""
        moved = self.second if rows is None else self.second[rows]
        return moved if columns is None else moved[:, columns]


def _stack(weights: Any, name: str) -> NDArray[np.float64]:
    try:
        dimensions = np.ndim(weights)
    except ValueError as err:
        raise ProblemError(f"{name} is not a rectangular array of numbers: {err}") from err
    if dimensions not in (2, 3):
        raise ProblemError(
            f"{name} has {dimensions} dimensions; expected (rows, columns) or (rows, columns, area): flatten the "
            "kernel of a convolution, and give a bias as (units, 1)"
        )
    array = as_float64(weights, name, (None,) * dimensions)
    bad = ~(np.abs(array) <= LARGEST_WEIGHT)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ProblemError(
            f"{name}[{', '.join(map(str, index))}] is {array[index]}; weights must be finite and within "
            f"{LARGEST_WEIGHT:g}, as they are squared"
        )
    return array.reshape(array.shape[0], array.shape[1], array.shape[2] if dimensions == 3 else 1)


def _space(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < FIXED:
        raise ProblemError(f"{name} is {value!r}; expected the index of a space, or {FIXED} for a side that is fixed")
    return int(value)
