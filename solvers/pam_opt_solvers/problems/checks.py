"""Checks of user input that name the first offending entry."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError

ItemT = TypeVar("ItemT")

LARGEST = 1e300
"""Largest magnitude of a cost: sums of up to 10^7 such costs stay inside float64."""

MOST_UNITS = 2**31
"""Most units of one group in one layer."""


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Return what numpy makes of a value, or say why it is no array."""
    if isinstance(values, np.ma.MaskedArray):
        raise ProblemError(f"{name} is a masked array, whose mask would be lost; fill it first: {name}.filled(...)")
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as err:
        raise ProblemError(f"{name} is not a rectangular array of numbers: {err}") from err


def as_float64(values: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Convert to a read-only C-contiguous float64 view (a copy only where it must), or say what is wrong.

    Parameters
    ----------
    values : array of numbers
    name : what the message calls it
    shape : expected lengths, ``None`` = any
    """
    given = as_array(values, name)
    if given.dtype.kind not in "fiub":
        raise ProblemError(f"{name} must hold real numbers, not dtype {given.dtype}")
    wanted = tuple(actual if want is None else want for want, actual in zip(shape, given.shape, strict=False))
    if given.ndim != len(shape) or given.shape != wanted:
        text = " x ".join("any" if length is None else str(length) for length in shape)
        raise ProblemError(f"{name} has shape {given.shape}; expected {len(shape)}-D of lengths {text}")
    with np.errstate(over="ignore"):  # what a wider type holds beyond float64 becomes infinite, and is judged as such
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
    given = as_array(values, name)
    if given.size and given.dtype.kind not in "iu":
        raise ProblemError(f"{name} must hold integers, not dtype {given.dtype}")
    as_float64(given, name, shape)
    if given.dtype.kind == "u" and given.max(initial=0) > np.iinfo(np.int64).max:
        raise ProblemError(f"{name} holds {given.max()}, which is no int64; it must be below 2^63")
    array = np.ascontiguousarray(given, dtype=np.int64).view()
    array.flags.writeable = False
    return array


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


def as_mask(values: Any, name: str, size: int) -> NDArray[np.bool_]:
    """Return a read-only (size,) bool array, or say what is wrong."""
    given = as_array(values, name)
    if given.shape != (size,) or (size and given.dtype.kind != "b"):
        raise ProblemError(f"{name} must be ({size},) of True and False, not {given.dtype} of shape {given.shape}")
    mask = given.astype(bool)
    mask.flags.writeable = False
    return mask


def as_items(values: Any, name: str) -> tuple[Any, ...]:
    """Return what is given one by one, such as an array for every layer, as a tuple; or say what is wrong."""
    single = isinstance(values, str | bytes | Mapping) or (isinstance(values, np.ndarray) and values.ndim == 0)
    if single or not isinstance(values, Iterable):
        raise ProblemError(f"{name} must be a sequence, one entry for each, not {type(values).__name__}")
    return tuple(values)


def as_instances(values: Any, name: str, kind: type[ItemT]) -> tuple[ItemT, ...]:
    """Return a tuple of instances of a class, such as budgets, or say what is wrong."""
    items = as_items(values, name)
    for item in items:
        if not isinstance(item, kind):
            raise ProblemError(f"{name} must hold {kind.__name__}, not {type(item).__name__}")
    return items
