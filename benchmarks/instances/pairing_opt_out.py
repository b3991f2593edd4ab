"""Twins for some: units may stay single at a price, as in a plan that need not pair everything."""

import numpy as np
from _features import importance, merge_cost

from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import family

FEATURES = 32
NOISE = 0.5
PRICE = 0.1
"""Cost of a single unit per importance; below a twin that is none, above one that is."""


@family(
    "opt_out_pairing",
    problem="pairing",
    sizes=(64, 256, 1024),
    severities=(0.0, 0.25, 0.5, 0.75),
    dial="units without a twin (fraction)",
)
def opt_out_pairing(size: int, severity: float, seed: int) -> Pairing:
    """Noisy twins for some units, none for the others, which may stay single; the dial is the share of those."""
    rng = np.random.default_rng([seed, size, 4])
    first = rng.normal(size=(size, FEATURES))
    twins = first + NOISE * rng.normal(size=(size, FEATURES))
    alone = rng.random(size) < severity
    twins[alone] = rng.normal(size=(int(alone.sum()), FEATURES))
    weights = importance(rng, size), importance(rng, size)
    cost = merge_cost(first, twins[rng.permutation(size)], *weights)
    return Pairing(cost, PRICE * weights[0], PRICE * weights[1])
