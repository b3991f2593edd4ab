"""First weights of merged units: the members' weights on the merged inputs, averaged by their shares."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pam_opt.folding import Folded, NormState


def mixed_weights(
    folded: Sequence[Folded], members: np.ndarray, shares: np.ndarray, inputs: np.ndarray | None
) -> Folded:
    """Average the members' weights, read on merged inputs.

    Parameters
    ----------
    folded : every parent's weights of the layer
    members, shares : (n, K) as in `LayerPlan`
    inputs : (merged inputs, K) members of the layer before; None where all parents read the same input.
        A merged input without a member of a parent, or one that is left out, counts nothing to its units.

    Returns
    -------
    weights : (n, merged inputs, area) and bias (n,)
    """
    width = folded[0].weight.shape[1] if inputs is None else len(inputs)
    area = folded[0].weight.shape[2]
    weight = torch.zeros(len(members), width, area, dtype=torch.float64)
    for column, parent in enumerate(folded):
        rows = np.flatnonzero(members[:, column] >= 0)
        if len(rows) == 0:
            continue
        own = parent.weight[members[rows, column]] * torch.from_numpy(shares[rows, column])[:, None, None]
        if inputs is None:
            weight[rows] += own
        else:
            present = np.flatnonzero(inputs[:, column] >= 0)
            weight[np.ix_(rows, present)] += own[:, inputs[present, column]]
    return Folded(weight, mixed_values([parent.bias for parent in folded], members, shares))


def mixed_values(values: Sequence[Tensor], members: np.ndarray, shares: np.ndarray) -> Tensor:
    """Average per-unit values (units,) or (units, ...) of every parent over the members."""
    total = torch.zeros(len(members), *values[0].shape[1:], dtype=torch.float64)
    for column, value in enumerate(values):
        rows = np.flatnonzero(members[:, column] >= 0)
        share = torch.from_numpy(shares[rows, column]).reshape(-1, *[1] * (value.ndim - 1))
        total[rows] += value[members[rows, column]].double() * share
    return total


def mixed_norms(states: Sequence[NormState | None], members: np.ndarray, shares: np.ndarray) -> NormState | None:
    """Average how the members are written with a batch norm; None if the layer has none."""
    known = [state for state in states if state is not None]
    if not known:
        return None
    mix = {
        name: mixed_values([getattr(state, name) for state in known], members, shares)
        for name in ("variance", "scale", "centre")
    }
    return NormState(**mix)


def mixed_state(
    states: Sequence[Mapping[str, Tensor]], members: np.ndarray, shares: np.ndarray, features: int
) -> dict[str, Tensor]:
    """Average the state of batch norms that stand behind an activation; `features` values per unit."""
    mixed: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if first.ndim == 0:
            mixed[name] = first.clone()
            continue
        values = [state[name].reshape(-1, features) for state in states]
        mixed[name] = mixed_values(values, members, shares).flatten().to(first.dtype)
    return mixed
