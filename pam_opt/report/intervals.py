"""Means over seeds with their intervals."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and half the width of its confidence interval; None where one value has no interval."""

    mean: float
    half: float | None

    @property
    def sign(self) -> int:
        """Return 1 or -1 where the whole interval lies on one side of 0, and 0 where that is undecided."""
        if self.half is None or not abs(self.mean) > self.half:
            return 0
        return 1 if self.mean > 0 else -1

    def __str__(self) -> str:
        return f"{self.mean:+.2f}" if self.half is None else f"{self.mean:+.2f} ± {self.half:.2f}"


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of independent values, one a seed, with its 95 % interval by Student's t.

    Values of two methods on the same seeds are compared by the interval of their differences, which leaves out
    what a seed does to both [1].

    References
    ----------
    .. [1] Student, The probable error of a mean, Biometrika 6 (1908), doi:10.1093/biomet/6.1.1

    Examples
    --------
    >>> print(interval([1.0, 2.0, 3.0]))
    +2.00 ± 2.48
    """
    count = len(values)
    if count == 1:
        return Interval(values[0], None)
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Interval(statistics.mean(values), quantile * statistics.stdev(values) / math.sqrt(count))
