"""Fixed pairs of a chain of layers, each shared or kept apart: MACs against the losses of merging and of cut edges."""

import numpy as np

from pam_opt_solvers import ClusterPlan
from pam_opt_solvers.instances import family

LAYERS, INPUTS, OUTPUTS = 4, 3, 10
MERGING = 1.0
"""Loss of merging relative to what a pair can save."""

CUTTING = 2.0
"""Loss of a dear cut edge relative to the MACs that it saves: above 1, so that the plan is a minimum cut."""


@family(
    "chain_cluster_plan",
    problem="cluster_plan",
    sizes=(8, 32, 128),
    severities=(0.0, 0.25, 0.5),
    dial="cut edges worth less than their MACs (fraction)",
    unit="pairs per layer",
)
def chain_cluster_plan(size: int, severity: float, seed: int) -> ClusterPlan:
    """Four layers of pairs to share or not; the dial is the part of edges for which it is no minimum cut."""
    rng = np.random.default_rng([seed, size, 40])
    merging = tuple(MERGING * size * rng.lognormal(-1.0, 1.0, size) for _ in range(LAYERS))
    edges = tuple(_edge_losses(rng, size, severity) for _ in range(LAYERS - 1))
    singles, heads = np.full((LAYERS, 2), size // 4), np.array([OUTPUTS, OUTPUTS])
    return ClusterPlan(merging, edges, np.ones(LAYERS + 1), INPUTS, singles, heads, price=1.0)


def _edge_losses(rng: np.random.Generator, size: int, cheap: float) -> np.ndarray:
    losses = CUTTING * rng.uniform(0.5, 1.5, (size, size))
    losses[rng.random((size, size)) < cheap] = 0.0
    return losses
