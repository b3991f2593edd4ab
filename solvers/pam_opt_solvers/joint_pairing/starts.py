"""Where the heuristics of the joint pairing begin: at random, or by what is known before anything is paired.

A unit's sorted weights are the same however its neighbours are numbered, so units that belong together can be
told with nothing known of the neighbours. The costs behind `gilmore_lawler_bound` say how well.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.matching import best_assignment
from pam_opt_solvers.problems.gilmore_lawler import pair_costs
from pam_opt_solvers.problems.joint_pairing import JointPairing

Matrix = NDArray[np.float64]
Permutation = NDArray[np.int64]

ROUNDS = 60
"""Of Sinkhorn's scaling; a start needs no more than a few digits."""

FLOOR = 1e-12
"""Least entry before scaling, so that every pair of units stays possible and no line vanishes."""


def random_start(sizes: tuple[int, ...], generator: np.random.Generator) -> list[Permutation]:
    """Return a random permutation of every space."""
    return [generator.permutation(size) for size in sizes]


def signature_start(problem: JointPairing) -> list[Permutation]:
    """Return for every space the assignment of least cost whatever the other spaces do."""
    return [best_assignment(-costs) for costs in pair_costs(problem)]


def soft_start(costs: list[Matrix], temperature: float) -> list[Matrix]:
    """Return doubly stochastic matrices, (n, n) per space, that prefer pairs of low cost.

    Parameters
    ----------
    costs : (n, n) of every space
    temperature : in typical gaps between a unit's best and second-best pair; inf gives the barycentre

    Notes
    -----
    ``exp(-cost / temperature)`` scaled to unit row and column sums: the assignment with an entropy term [1]_.

    References
    ----------
    .. [1] M. Cuturi, "Sinkhorn distances: lightspeed computation of optimal transport", NeurIPS 2013,
       arXiv:1306.0895
    """
    return [_scaled_kernel(matrix, temperature * typical_gap(matrix)) for matrix in costs]


def typical_gap(costs: Matrix) -> float:
    """Return the median gap between a unit's best and second-best pair; where most tie, the standard deviation."""
    if len(costs) < 2:
        return 1.0
    best = np.partition(costs, 1, axis=1)
    gap = float(np.median(best[:, 1] - best[:, 0]))
    if gap > 0:
        return gap
    size = float(np.abs(costs).max(initial=0.0))
    return size * float((costs / size).std()) if size else 0.0  # squares of large costs overflow


def _scaled_kernel(costs: Matrix, temperature: float) -> Matrix:
    if not costs.size or not 0 < temperature < np.inf:
        return np.full(costs.shape, 1 / max(len(costs), 1))
    reduced = costs - costs.min(axis=1, keepdims=True)
    kernel = np.maximum(np.exp(-(reduced - reduced.min(axis=0)) / temperature), FLOOR)
    rows, columns = np.ones(len(kernel)), np.ones(len(kernel))
    for _ in range(ROUNDS):
        rows = 1 / (kernel @ columns)
        columns = 1 / (rows @ kernel)
    return rows[:, None] * kernel * columns
