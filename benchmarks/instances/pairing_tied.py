"""Tied groups: units that are paired all together or not at all, as the channels of a head or a block are."""

import numpy as np
from _features import importance, merge_cost

from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import family

FEATURES = 32
NOISE = 0.5
PRICE = 0.1
TOGETHER = 4
ALONE = 0.3


@family(
    "tied_pairing",
    problem="pairing",
    sizes=(16, 64, 128),
    severities=(0.0, 0.5, 1.0),
    dial="units tied in groups of four (fraction)",
)
def tied_pairing(size: int, severity: float, seed: int) -> Pairing:
    """Some units have a twin, others may stay single at a price; the dial is the part tied in groups of four."""
    rng = np.random.default_rng([seed, size, 8])
    first = rng.normal(size=(size, FEATURES))
    twins = first + NOISE * rng.normal(size=first.shape)
    alone = rng.random(size) < ALONE
    twins[alone] = rng.normal(size=(int(alone.sum()), FEATURES))
    weights = importance(rng, size), importance(rng, size)
    cost = merge_cost(first, twins[rng.permutation(size)], *weights)
    tied = [_ties(rng, size, severity) for _ in range(2)]
    return Pairing(cost, PRICE * weights[0], PRICE * weights[1], tied_rows=tied[0], tied_columns=tied[1])


def _ties(rng: np.random.Generator, size: int, part: float) -> np.ndarray:
    labels = np.full(size, -1)
    chosen = rng.permutation(size)[: TOGETHER * round(part * size / TOGETHER)]
    labels[chosen[: size - size % TOGETHER]] = np.arange(len(chosen[: size - size % TOGETHER])) // TOGETHER
    return labels
