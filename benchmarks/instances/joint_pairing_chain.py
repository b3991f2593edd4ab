"""Layers of a plain chain: the second parent is the first with permuted units, and noise."""

from _planted_layers import planted_chain

from pam_opt_solvers import JointPairing
from pam_opt_solvers.instances import family

INPUTS, OUTPUTS, HIDDEN = 16, 10, 3


@family(
    "chain_joint_pairing",
    problem="joint_pairing",
    sizes=(6, 16, 64),
    severities=(0.1, 0.5, 1.0),
    dial="noise of the weights (standard deviations)",
    unit="units per layer",
)
def chain_joint_pairing(size: int, severity: float, seed: int) -> JointPairing:
    """Four layers between fixed inputs and outputs; the dial is the noise of the permuted copy."""
    return planted_chain((INPUTS, *[size] * HIDDEN, OUTPUTS), severity, seed).problem
