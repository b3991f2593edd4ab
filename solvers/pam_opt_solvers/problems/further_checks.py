"""Further checks of user input: numbers of units, single numbers, one array a layer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_float64

MOST_UNITS = 2**31
"""Most units of one group in one layer."""


def as_counts(values: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.int64]:
    """Return whole numbers in 0..2^31 as a read-only int64 array of this shape, or say what is wrong."""
    array = as_float64(values, name, shape)
    whole = (array == np.rint(array)) & (array >= 0) & (array <= MOST_UNITS)
    if not whole.all():
        where = ", ".join(str(int(i)) for i in np.argwhere(~whole)[0])
        raise ProblemError(f"{name}[{where}] is {array[~whole][0]:g}; numbers of units are whole, in 0..{MOST_UNITS}")
    counts = array.astype(np.int64)
    counts.flags.writeable = False
    return counts


def as_number(value: Any, name: str) -> float:
    """Return one real number, or say what is wrong."""
    return float(as_float64([value], name, (1,))[0])


def per_layer(values: Any, name: str) -> tuple[Any, ...]:
    """Return what is given for every layer as a tuple, or say what is wrong."""
    try:
        return tuple(values)
    except TypeError as err:
        raise ProblemError(f"{name} must be a sequence of one array per layer, not {values!r}") from err
