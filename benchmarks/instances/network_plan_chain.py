"""Layer chains from LeNet-5 to a 16-layer VGG: how much every layer shares within a budget of loss."""

import numpy as np
from _layer_chains import LENET_5, SMALL_VGG, VGG_16, Chain

from pam_opt_solvers import NetworkPlan, ProblemError
from pam_opt_solvers.instances import family

SHAPES = {len(shape.widths): shape for shape in (LENET_5, SMALL_VGG, VGG_16)}
CUT = 1.0


@family(
    "chain_network_plan",
    problem="network_plan",
    sizes=tuple(SHAPES),
    severities=(0.5, 0.8, 0.95, 1.05),
    dial="tightness of the loss budget (part of sharing all)",
    unit="hidden layers",
)
def chain_network_plan(size: int, severity: float, seed: int) -> NetworkPlan:
    """Two LeNet-5 (4 layers), small VGG (8) or VGG-16 (16) whose cut edges lose something; the dial is the budget."""
    if size not in SHAPES:
        raise ProblemError(f"no chain has {size} hidden layers; there are {', '.join(map(str, SHAPES))}")
    return Chain.draw(SHAPES[size], CUT, np.random.default_rng([seed, size, 20])).within_loss(1.0 - severity)
