"""Where the heuristics of the joint pairing begin."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.matching import best_assignment
from pam_opt_solvers.problems.gilmore_lawler import pair_costs
from pam_opt_solvers.problems.joint_pairing import JointPairing

Permutation = NDArray[np.int64]


def random_start(sizes: tuple[int, ...], generator: np.random.Generator) -> list[Permutation]:
    """Return a random permutation of every space."""
    return [generator.permutation(size) for size in sizes]


def signature_start(problem: JointPairing) -> list[Permutation]:
    """Return for every space the assignment of units by what no other space's permutation changes.

    A unit's sorted weights are the same however its neighbours are numbered, so units that belong together
    are found with nothing known of the neighbours: the assignment behind `gilmore_lawler_bound`.
    """
    return [best_assignment(-costs) for costs in pair_costs(problem)]
