"""Correlation distance between pre-activations."""

import numpy as np

from pam_opt.pair_costs.statistics import PairStatistics


def correlation_cost(pairs: PairStatistics) -> np.ndarray:
    """Return ``1 - corr(y_i, y_j)``, (m, n), in [0, 2]; a constant unit correlates with nothing and costs 1."""
    scale = [np.sqrt(side.variance) for side in (pairs.left, pairs.right)]
    inverse = [np.divide(1.0, s, out=np.zeros_like(s), where=s > 0) for s in scale]
    cost = pairs.covariance * -inverse[0][:, None]
    cost *= inverse[1][None, :]
    cost += 1.0
    return np.clip(cost, 0.0, 2.0, out=cost)
