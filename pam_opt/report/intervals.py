"""Means over seeds with their intervals: of differences, and of ratios."""

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


@dataclass(frozen=True)
class Ratio:
    """What one method costs relative to another.

    Parameters
    ----------
    mean : geometric mean over seeds
    low, high : its confidence interval; None where one value has no interval
    values : of each seed
    """

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]

    @property
    def side(self) -> int:
        """Return 1 or -1 where the whole interval lies on one side of 1, and 0 where that is undecided."""
        if self.low is None or self.high is None or self.low <= 1 <= self.high:
            return 0
        return 1 if self.low > 1 else -1

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.low is None else f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(costs: Sequence[float], others: Sequence[float]) -> Ratio:
    """Return the mean of paired ratios of positive costs, one a seed, with its 95 % interval: `interval` of their logs.

    Halves and doubles of a cost weigh the same, and swapping the two inverts mean and interval.

    Examples
    --------
    >>> print(ratio([1.0, 2.0, 4.0], [2.0, 4.0, 4.0]))
    0.63 (0.23 to 1.70)
    """
    values = tuple(cost / other for cost, other in zip(costs, others, strict=True))
    found = interval([math.log(value) for value in values])
    if found.half is None:
        return Ratio(values[0], None, None, values)
    low, high = math.exp(found.mean - found.half), math.exp(found.mean + found.half)
    return Ratio(math.exp(found.mean), low, high, values)
