"""Lower bound of a joint pairing by one linear assignment per space, and what its costs say of likely pairs.

A row of a layer that is paired with another row pays at least the distance of the two once each is sorted:
no order of the columns brings them closer. Likewise for columns. A layer between two movable spaces lets
either side pay half; the space then adds up what all its layers ask for a pair of units and solves one
assignment: the idea of [1]_ and [2]_ applied to all layers at once. With a fixed side the distance is exact.

References
----------
.. [1] P. C. Gilmore, "Optimal and suboptimal algorithms for the quadratic assignment problem", J. SIAM 10(2),
   1962, doi:10.1137/0110022
.. [2] E. L. Lawler, "The quadratic assignment problem", Management Science 9(4), 1963, doi:10.1287/mnsc.9.4.586
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.problems.layer_pair import FIXED, LayerPair

if TYPE_CHECKING:
    from pam_opt_solvers.problems.joint_pairing import JointPairing

Matrix = NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)


def gilmore_lawler_bound(problem: "JointPairing") -> float:
    """Return a lower bound on every decision, true in floating point.

    ``O(sum_layers (rows^2 columns + columns^2 rows) area + sum_spaces size^3)``
    """
    # Each bound is one exact sum, rounded once: sums of two roundings may end above a value that has none.
    fixed = [x for layer in problem.layers if not layer.movable for x in layer.distances(None, None)]
    linear = [least_assignment(costs) for costs in problem.costs if costs is not None]
    joint = [least_assignment(costs) for costs in pair_costs(problem)]
    return max(math.fsum(fixed + linear), math.fsum(fixed + joint))


def pair_costs(problem: "JointPairing") -> list[Matrix]:
    """Return for every space what pairing two units costs at least, (n, n) float64.

    Invariant under permutations of all other spaces, so that units that belong together are found before
    anything else is known.
    """
    found = [
        np.zeros((size, size)) if costs is None else costs.copy()
        for size, costs in zip(problem.sizes, problem.costs, strict=True)
    ]
    for layer in problem.layers:
        share = 1.0 if FIXED in layer.spaces else 0.5
        for side in (layer, layer.transposed()):
            if side.rows_space != FIXED:
                found[side.rows_space] += share * _row_distances(side)
    return found


def _row_distances(layer: LayerPair) -> Matrix:
    """Return at most the squared distance that each pair of rows pays, (rows, rows)."""
    first, second = (_signature(weights, layer) for weights in (layer.first, layer.second))
    norms = [np.einsum("ij,ij->i", rows, rows) for rows in (first, second)]
    distances = norms[0][:, None] + norms[1][None, :] - 2.0 * (first @ second.T)
    # Rounding may raise a distance; below this, equal rows are at distance 0.
    slack = (first.shape[1] + 8) * EPSILON * np.square(np.sqrt(norms[0])[:, None] + np.sqrt(norms[1])[None, :])
    return np.maximum(distances - slack, 0.0)


def _signature(weights: Matrix, layer: LayerPair) -> Matrix:
    """Return what of each row no permutation of the columns changes, (rows, columns * area)."""
    rows, columns, area = weights.shape
    if layer.columns_space == FIXED:
        ordered = weights
    elif layer.columns_space != layer.rows_space:
        ordered = np.sort(weights, axis=1)
    else:  # a unit's weight to itself stays its weight to itself
        others = weights[~np.eye(rows, dtype=bool)].reshape(rows, max(columns - 1, 0), area)
        own = weights[np.arange(rows), np.arange(rows)][:, None, :]
        ordered = np.concatenate([own, np.sort(others, axis=1)], axis=1)
    return ordered.reshape(rows, columns * area)


def least_assignment(costs: Matrix) -> float:
    """Return the value of the least assignment, less what rounding may have added to it."""
    if not costs.size:
        return 0.0
    rows, columns = matched(costs)
    rounding = 2 * EPSILON * (len(costs) ** 2 + 64 * len(costs)) * float(np.abs(costs).max())
    return math.fsum(costs[rows, columns]) - rounding
