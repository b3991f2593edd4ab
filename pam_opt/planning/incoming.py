"""What clusters of units read, on inputs that are common to all parents."""

from collections.abc import Sequence

import numpy as np

from pam_opt.folding import fold
from pam_opt.merging.weights import Mix, mixed_weights
from pam_opt.planning.clusters import Incoming
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, place_members


def incoming_weights(request: Request, planned: Sequence[LayerPlan]) -> Incoming:
    """Return what gives the incoming weights, with bias, of clusters of the layer behind those planned so far."""
    parents, index = request.parents, len(planned)

    def incoming(members: np.ndarray, shares: np.ndarray) -> np.ndarray:
        layer = next(iter(parents.values())).structure.layers[index]
        folded = [fold(parent.block(index, frozenset({task})), layer) for task, parent in parents.items()]
        mix = Mix(*place_members(members, shares, request.units(index)), len(members))
        mixed = mixed_weights(folded, mix, [Mix.of(planned[-1]) if index else None])
        return np.concatenate([mixed.weight.flatten(1).numpy(), mixed.bias[:, None].numpy()], axis=1)

    return incoming
