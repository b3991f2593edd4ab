"""Distance between incoming weights."""

import numpy as np

from pam_opt.pair_costs.statistics import PairStatistics


def weights_cost(pairs: PairStatistics) -> np.ndarray:
    """Return ``|w_i - w_j|^2``, (m, n), of the incoming weights on the inputs as merged so far, bias included.

    Batch norms are folded into the weights. Where several layers write the units, the distances of all add up. This is
    the cost of Git Re-Basin's weight matching [1]_, one layer at a time and incoming weights only.

    .. [1] Ainsworth et al., Git Re-Basin, ICLR 2023, arXiv 2209.04836
    """
    left, right = pairs.left.incoming(), pairs.right.incoming()
    cost = left @ right.T
    cost *= -2.0
    cost += np.square(left).sum(1)[:, None]
    cost += np.square(right).sum(1)[None, :]
    return np.maximum(cost, 0.0, out=cost)
