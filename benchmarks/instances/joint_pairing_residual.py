"""Blocks of a residual net: one permutation covers the whole stream, and no end of it is fixed."""

from _planted_layers import planted_residual

from pam_opt_solvers import JointPairing
from pam_opt_solvers.instances import family

BLOCKS = 3


@family(
    "residual_joint_pairing",
    problem="joint_pairing",
    sizes=(6, 16, 64),
    severities=(0.1, 0.3, 0.5),
    dial="noise of the weights (standard deviations)",
    unit="units per layer",
)
def residual_joint_pairing(size: int, severity: float, seed: int) -> JointPairing:
    """Three residual blocks on a stream with free ends; the dial is the noise of the permuted copy."""
    return planted_residual(size, BLOCKS, severity, seed).problem
