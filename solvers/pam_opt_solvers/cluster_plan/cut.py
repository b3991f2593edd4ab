"""The network whose minimum cut is the best cluster plan [1].

A pair is shared if it lies on the source's side. ``linear_c > 0`` is an arc from c to the sink, ``linear_c < 0`` one
from the source to c, and ``pairs_cd >= 0`` one from c to d, cut where c is shared and d is not.

[1] D. M. Greig, B. T. Porteous and A. H. Seheult, "Exact maximum a posteriori estimation for binary images", J. Royal
    Statistical Society B 51(2), 1989, doi:10.1111/j.2517-6161.1989.tb01764.x
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.cluster_plan import ClusterPlan
from pam_opt_solvers.scaling import Scaling

MOST_BITS = 50
SUM_BITS = 61
"""The backends want the sum of all capacities inside int64."""


@dataclass(frozen=True)
class CutNetwork:
    """Arcs between nodes 0..n - 1 (pairs), n (source) and n + 1 (sink).

    Parameters
    ----------
    tails, heads : (a,) int32
    capacities : (a,) int64
    scaling : of the capacities
    size : number n of pairs
    """

    tails: NDArray[np.int32]
    heads: NDArray[np.int32]
    capacities: NDArray[np.int64]
    scaling: Scaling
    size: int

    @property
    def source(self) -> int:
        """Number of the source's node."""
        return self.size

    @property
    def sink(self) -> int:
        """Number of the sink's node."""
        return self.size + 1

    @classmethod
    def of(cls, problem: ClusterPlan) -> "CutNetwork":
        """Write a plan whose pairs have no negative coefficients."""
        linear, size = problem.form.linear, len(problem.form.linear)
        after, before, values = problem.form.edges()
        gains, costs = np.flatnonzero(linear < 0), np.flatnonzero(linear > 0)
        # The last arc carries nothing; it is there so that source and sink always are.
        tails = np.concatenate([np.full(len(gains), size), costs, after, [size]])
        heads = np.concatenate([gains, np.full(len(costs), size + 1), before, [size + 1]])
        real = np.concatenate([-linear[gains], linear[costs], values, [0.0]])
        finite = real < np.inf
        bits = min(MOST_BITS, SUM_BITS - (len(real) + 1).bit_length())
        worst = 8 * float(np.finfo(np.float64).eps) * problem.magnitude
        scaling = Scaling.of(np.where(finite, real, 0.0), bits, len(real), worst, problem.form.constant).rounded()
        # More than all gains together: never part of a minimum cut, for keeping all apart costs only the gains.
        barrier = int(scaling.integers[: len(gains)].sum()) + 1
        return cls(
            tails.astype(np.int32), heads.astype(np.int32), np.where(finite, scaling.integers, barrier), scaling, size
        )
