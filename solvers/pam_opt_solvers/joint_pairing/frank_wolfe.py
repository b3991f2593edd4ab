"""Frank-Wolfe on a joint pairing: all spaces move together through doubly stochastic matrices.

The permutations of a space are the corners of the Birkhoff polytope. Every step goes towards the corners
that the gradient likes best (one linear assignment per space), as far as the score rises, which is exact as
the score is quadratic along a line. The end is projected by one assignment per space and improved by
coordinate descent. For one quadratic assignment this is FAQ [1], for several networks C2M3 [2].

The start decides. From the barycentre, all that a space knows of its neighbours are sums over their units.
The default start leans to pairs that are alike in what no other space's permutation changes (`soft_start`).
Of fifty residual streams of widths 30-64 under noise 1.5 it recovers all, the barycentre two thirds
(``benchmarks/joint_pairing_recovery.py``).

[1] J. T. Vogelstein et al., "Fast approximate quadratic programming for graph matching", PLoS ONE 10(4), 2015,
doi:10.1371/journal.pone.0121002.
[2] D. Crisostomi et al., "C2M3: cycle-consistent multi-model merging", NeurIPS 2024, arXiv:2405.17897.
"""

import math
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.matching import Matching, best_assignment
from pam_opt_solvers.joint_pairing.restarts import restarted
from pam_opt_solvers.joint_pairing.starts import soft_start, typical_gap
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.gilmore_lawler import pair_costs
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.solver import Solver

Matrix = NDArray[np.float64]
Permutation = NDArray[np.int64]

MOST_STEPS = 200
LEAST_SLOPE = 1e-9
"""Part of the magnitudes summed below which a slope ends the climb."""

TEMPERATURE = 3.0
"""Of the first start, in typical gaps between a unit's best and second-best pair: 1 and 10 do as well."""

SPREAD = 1.0
"""Powers of ten by which the temperatures of later starts go up or down, and typical gaps of noise on their costs."""


class FrankWolfe(Solver[Matching]):
    """Climb from a start in the middle, project, descend; then again from random and from other soft starts."""

    name = "frank_wolfe"
    backend = "scipy"
    module = "scipy.optimize"
    takes = frozenset({"joint_pairing"})
    exact = False
    description = (
        "heuristic; all spaces together, started by signatures or (:barycentre) from the middle; the usual choice"
    )
    settings = MappingProxyType({"start": ("signatures", "barycentre"), "starts": ("10", "1", "3", "30", "100")})
    stops_itself = True

    def _build(self, problem: JointPairing, options: Options) -> Matching:
        return Matching(problem)

    def _run(self, model: Matching, problem: JointPairing, options: Options) -> Outcome:
        costs: list[list[Matrix]] = []  # dear, and not needed where time is up or nothing is left to decide

        def start(attempt: int, generator: np.random.Generator, stop: Callable[[], bool]) -> list[Permutation]:
            if not costs:
                costs.append(pair_costs(problem))
            return climb(model, _start(costs[0], attempt, options.settings["start"], generator), stop)

        return restarted(model, problem, options, start)


def climb(matching: Matching, weights: list[Matrix], stop: Callable[[], bool]) -> list[Permutation]:
    """Return the permutations nearest to where Frank-Wolfe ends.

    Parameters
    ----------
    matching : the problem
    weights : (n, n) doubly stochastic, of every space
    stop : whether time is up, asked before every step
    """
    for _ in range(MOST_STEPS):
        if stop():
            break
        gradients = [matching.soft_worth(space, weights) for space in range(len(weights))]
        directions = [_corner(best_assignment(g)) - w for g, w in zip(gradients, weights, strict=True)]
        slope = sum(float(np.vdot(g, d)) for g, d in zip(gradients, directions, strict=True))
        if slope <= LEAST_SLOPE * sum(matching.scale):
            break
        step = _best_step(slope, matching.curvature(directions))
        weights = [w + step * d for w, d in zip(weights, directions, strict=True)]
    return [best_assignment(w) for w in weights]


def _best_step(slope: float, curvature: float) -> float:
    """Return where ``slope t + curvature t^2`` is greatest on 0..1."""
    return 1.0 if slope + 2 * curvature >= 0 else -slope / (2 * curvature)


def _start(costs: list[Matrix], attempt: int, first: str, generator: np.random.Generator) -> list[Matrix]:
    if attempt == 0:
        return soft_start(costs, math.inf if first == "barycentre" else TEMPERATURE)
    if attempt % 2:
        # Where nothing was planted, signatures mislead as often as they lead.
        middle = soft_start(costs, math.inf)
        return [(w + _corner(generator.permutation(len(w)))) / 2 for w in middle]
    temperature = TEMPERATURE * 10 ** generator.uniform(-SPREAD, SPREAD)
    return soft_start([matrix + SPREAD * _noise(matrix, generator) for matrix in costs], temperature)


def _noise(costs: Matrix, generator: np.random.Generator) -> Matrix:
    return typical_gap(costs) * generator.standard_normal(costs.shape)


def _corner(permutation: Permutation) -> Matrix:
    corner = np.zeros((len(permutation), len(permutation)))
    corner[np.arange(len(permutation)), permutation] = 1.0
    return corner
