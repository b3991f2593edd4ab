"""Correlation distance between pre-activations."""

import numpy as np

from pam_opt.pair_costs.statistics import PairStatistics


def correlation_cost(pairs: PairStatistics) -> np.ndarray:
    """Return ``1 - corr(y_i, y_j)``, (m, n), in [0, 2]; a constant unit correlates with nothing and costs 1.

    Where several layers write the units, it is the mean over these, each counted once: a correlation has no size
    by which they could be weighed, and so the cost stays in [0, 2].
    """
    cost = _at_one_layer(pairs)
    for further in pairs.further:
        cost += _at_one_layer(further)
    return cost / (1 + len(pairs.further)) if pairs.further else cost


def _at_one_layer(pairs: PairStatistics) -> np.ndarray:
    scale = [np.sqrt(side.variance) for side in (pairs.left, pairs.right)]
    inverse = [np.divide(1.0, s, out=np.zeros_like(s), where=s > 0) for s in scale]
    cost = pairs.covariance * -inverse[0][:, None]
    cost *= inverse[1][None, :]
    cost += 1.0
    return np.clip(cost, 0.0, 2.0, out=cost)
