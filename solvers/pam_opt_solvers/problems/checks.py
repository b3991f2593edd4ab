"""Checks of user input that name the first offending entry."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError

LARGEST = 1e300
"""Largest magnitude of a cost: sums of up to 10^7 such costs stay inside float64."""


def as_float64(values: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Convert to a read-only C-contiguous float64 view (a copy only where it must), or say what is wrong.

    Parameters
    ----------
    values : array of numbers
    name : what the message calls it
    shape : expected lengths, ``None`` = any
    """
    try:
        given = np.asarray(values)
    except ValueError as err:
        raise ProblemError(f"{name} is not a rectangular array of numbers: {err}") from err
    if given.dtype.kind not in "fiub":
        raise ProblemError(f"{name} must hold real numbers, not dtype {given.dtype}")
    wanted = tuple(actual if want is None else want for want, actual in zip(shape, given.shape, strict=False))
    if given.ndim != len(shape) or given.shape != wanted:
        text = " x ".join("any" if length is None else str(length) for length in shape)
        raise ProblemError(f"{name} has shape {given.shape}; expected {len(shape)}-D of lengths {text}")
    array = np.ascontiguousarray(given, dtype=np.float64).view()
    array.flags.writeable = False
    return array


def extent(array: NDArray[np.float64], name: str, *, allow_infinity: bool) -> tuple[float, float]:
    """Return the least and the greatest finite entry, refusing NaN, -inf and magnitudes above ``LARGEST``.

    An array without finite entries gives ``(inf, -inf)``. Two passes over the array, a third only if it holds
    +inf.
    """
    if not array.size:
        return np.inf, -np.inf
    low, high = float(array.min()), float(array.max())
    # A NaN anywhere makes both ends NaN, and no comparison with NaN holds.
    if not low >= -LARGEST or (high > LARGEST and not (allow_infinity and high == np.inf)):
        raise ProblemError(_first_bad(array, name, allow_infinity))
    if high == np.inf:
        high = float(array.max(where=array < np.inf, initial=-np.inf))
        if high > LARGEST:
            raise ProblemError(_first_bad(array, name, allow_infinity))
    return low, high


def _first_bad(array: NDArray[np.float64], name: str, allow_infinity: bool) -> str:
    bad = ~(np.abs(array) <= LARGEST)
    if allow_infinity:
        bad &= array != np.inf
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    where = ", ".join(map(str, index))
    remedy = "use +inf for a forbidden pair" if allow_infinity else "it must be finite"
    limit = f"keep magnitudes within {LARGEST:g} (rescale all costs)"
    return f"{name}[{where}] is {array[index]}; {remedy}, and {limit}"


def as_count(value: Any, name: str, largest: int) -> int:
    """Return an integer in ``0..largest``, or say what is wrong."""
    try:
        count = operator.index(value)
    except TypeError as err:
        raise ProblemError(f"{name} must be an integer, not {value!r}") from err
    if not 0 <= count <= largest:
        raise ProblemError(f"{name} is {count}; it must lie in 0..{largest}")
    return count


def as_real(value: Any, name: str) -> float:
    """Return one finite number within ``LARGEST``, or say what is wrong."""
    array = as_float64(value, name, ()).reshape(1)
    if not abs(float(array[0])) <= LARGEST:
        raise ProblemError(f"{name} is {float(array[0])}; it must be finite, of magnitude at most {LARGEST:g}")
    return float(array[0])


def as_int64(values: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.int64]:
    """Convert whole numbers to a read-only int64 array of the given shape, or say what is wrong."""
    given = np.asarray(values)
    if given.dtype.kind not in "iu":
        raise ProblemError(f"{name} must hold integers, not dtype {given.dtype}")
    as_float64(given, name, shape)
    array = np.ascontiguousarray(given, dtype=np.int64).view()
    array.flags.writeable = False
    return array
