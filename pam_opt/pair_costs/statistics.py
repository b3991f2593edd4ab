"""What a cost may look at: two sets of units, and their covariance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Side:
    """Describe the units on one side of a pairing; arrays (units,) float64.

    Parameters
    ----------
    mean, variance : of the pre-activation; of a cluster, of its Fisher-weighted mean
    fisher : diagonal Fisher information; of a cluster, the sum over its members
    incoming : called without arguments, returns (units, values) the incoming weights with bias, batch norm
        folded in, on inputs that are common to both sides
    """

    mean: np.ndarray
    variance: np.ndarray
    fisher: np.ndarray
    incoming: Callable[[], np.ndarray]


@dataclass(frozen=True)
class PairStatistics:
    """Describe all pairs of units of two sides.

    Parameters
    ----------
    left, right : m and n units
    covariance : (m, n) covariance of pre-activations
    positions : output positions of one sample, over which a cost is summed
    further : the same pairs as the other layers that write these units have them; units of a residual sum are merged
        in all of its branches at once. Incoming weights are those of all layers on either side
    """

    left: Side
    right: Side
    covariance: np.ndarray
    positions: int
    further: tuple["PairStatistics", ...] = ()
