"""Least of many lines at many points: the min-plus step whose costs are a product of two numbers.

``min_j value_j + slope_j * point_i`` for all i needs no (i, j) matrix: only lines on the lower hull of the points
(slope_j, value_j) are ever least, and along sorted points the least line moves one way [1]. ``O(n log n)``.

[1] M. de Berg et al., "Computational Geometry", Springer 2008, sections 1.1 and 11.4, doi:10.1007/978-3-540-77974-2.
"""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]


def least_lines(slopes: Vector, values: Vector, points: Vector) -> tuple[Vector, Indices]:
    """Return for every point the least ``values[j] + slopes[j] * point`` and its j.

    Parameters
    ----------
    slopes, values : (n,) float64, n >= 1, finite
    points : (m,) float64, finite

    Examples
    --------
    >>> import numpy as np
    >>> least_lines(np.array([0.0, 1.0]), np.array([5.0, 0.0]), np.array([1.0, 9.0]))
    (array([1., 5.]), array([1, 0]))
    """
    hull = lower_hull(slopes, values)
    heights, sides = values[hull], slopes[hull]
    turns = (heights[:-1] - heights[1:]) / (sides[1:] - sides[:-1])  # falling: the points where the least line changes
    chosen = hull[len(turns) - np.searchsorted(turns[::-1], points, side="right")]
    return values[chosen] + slopes[chosen] * points, chosen


def lower_hull(x: Vector, y: Vector) -> Indices:
    """Return the indices of the points on the lower convex hull, x strictly rising (Andrew's monotone chain)."""
    order = np.lexsort((y, x))
    new = np.ones(len(order), bool)
    new[1:] = x[order[1:]] > x[order[:-1]]
    order = order[new]
    xs, ys = x[order].tolist(), y[order].tolist()
    hull: list[int] = []
    for k, (right, height) in enumerate(zip(xs, ys, strict=True)):
        while len(hull) > 1:
            first, middle = hull[-2], hull[-1]
            if (ys[middle] - ys[first]) * (right - xs[first]) < (height - ys[first]) * (xs[middle] - xs[first]):
                break
            hull.pop()
        hull.append(k)
    return order[hull]
