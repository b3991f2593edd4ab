"""Fisher cost: the predicted increase of the loss when two units become one."""

import numpy as np

from pam_opt.pair_costs.statistics import PairStatistics

FLOOR = 1e-4
"""Fisher information added to every unit, relative to the layer's mean.

Units that never fire have none, so any two of them, and any unit with them, would merge for free. The floor
breaks these ties by distance, above the rounding of float32 moments and below what changes a decision
between units that do fire.
"""


def fisher_cost(pairs: PairStatistics) -> np.ndarray:
    """Return ``c_ij = positions / 2 * F_i F_j / (F_i + F_j) * E[(y_i - y_j)^2]``, (m, n), in units of the loss.

    The best common value of two pre-activations is their Fisher-weighted mean, and this is what it costs to
    second order. For clusters the same formula is the increase over what the clusters cost already (Ward).
    Where several layers write the units, the costs of all of them add up, being parts of one loss.
    """
    cost = _at_one_layer(pairs)
    for further in pairs.further:
        cost += _at_one_layer(further)
    return cost


def _at_one_layer(pairs: PairStatistics) -> np.ndarray:
    left, right = pairs.left, pairs.right
    total = left.fisher.sum() + right.fisher.sum()
    floor = FLOOR * total / max(1, len(left.fisher) + len(right.fisher)) or 1.0
    f, g = left.fisher + floor, right.fisher + floor
    cost = pairs.covariance * -2.0
    cost += left.variance[:, None]
    cost += right.variance[None, :]
    shift = np.subtract.outer(left.mean, right.mean)
    cost += np.square(shift, out=shift)
    np.maximum(cost, 0.0, out=cost)
    # F_i F_j / (F_i + F_j) = 1 / (1 / F_i + 1 / F_j), in the buffer that is free again.
    cost /= np.add.outer(1.0 / f, 1.0 / g, out=shift)
    cost *= 0.5 * pairs.positions
    return cost
