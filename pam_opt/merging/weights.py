"""First weights of merged units: the members' weights on the merged inputs, averaged by their shares.

With S_k (merged units, units of parent k) the shares and R_k (units of k one layer before, merged inputs) 0 or 1
where a unit stands, the first weights are ``W = sum_k S_k W_k R_k``. A unit that is only represented has no share,
and what the parent's next layer read from it is read, unscaled, from the merged unit in its place. `refit` starts
there and finds the right factor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pam_opt.folding import Folded, NormState
from pam_opt.plans import LayerPlan


@dataclass(frozen=True, eq=False)
class Mix:
    """Say which units of the parents some merged units are made from: S_k and R_k, kept sparse.

    Parameters
    ----------
    places, shares : as in `LayerPlan`, with places among these merged units only, -1 for units that stand elsewhere
    count : number of these merged units
    """

    places: Sequence[np.ndarray]
    shares: Sequence[np.ndarray]
    count: int

    @classmethod
    def of(cls, plan: LayerPlan, rows: np.ndarray | None = None) -> "Mix":
        """Describe a layer's merged units; `rows` in ascending order for some of them, None for all."""
        count = len(plan.groups)
        rows = np.arange(count) if rows is None else rows
        position = np.full(count + 1, -1)  # the last for dropped units, whose place is -1
        position[rows] = np.arange(len(rows))
        return cls([position[column] for column in plan.places], plan.shares, len(rows))

    def members(self, column: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a parent's units that have a share, the merged unit of each, and the shares."""
        units = np.flatnonzero((self.places[column] >= 0) & (self.shares[column] > 0))
        parts = (units, self.places[column][units], self.shares[column][units])
        return torch.from_numpy(parts[0]), torch.from_numpy(parts[1]), torch.from_numpy(parts[2])

    def average(self, values: Sequence[Tensor]) -> Tensor:
        """Return ``sum_k S_k v_k`` of per-unit values (units, ...) of every parent, float64."""
        total = torch.zeros(self.count, *values[0].shape[1:], dtype=torch.float64)
        for column, value in enumerate(values):
            units, places, shares = self.members(column)
            share = shares.reshape(-1, *[1] * (value.ndim - 1))
            total.index_add_(0, places, value[units].double() * share)
        return total

    def average_rows(self, rows: Sequence[Tensor]) -> Tensor:
        """Return ``sum_k y_k S_k'`` of rows (samples, units) of every parent, in their own precision."""
        total = torch.zeros(len(rows[0]), self.count)
        for column, values in enumerate(rows):
            units, places, shares = self.members(column)
            total.index_add_(1, places, values[:, units] * shares.float())
        return total

    def represent(self, column: int, weight: Tensor) -> Tensor:
        """Return ``W_k R_k``: a parent's weights (n, units, area) as read from these merged units, (n, count, area)."""
        units = np.flatnonzero(self.places[column] >= 0)
        total = weight.new_zeros(len(weight), self.count, weight.shape[2])
        return total.index_add_(1, torch.from_numpy(self.places[column][units]), weight[:, torch.from_numpy(units)])


def mixed_weights(folded: Sequence[Folded], mix: Mix, inputs: Mix | None) -> Folded:
    """Average the members' weights, read on merged inputs.

    Parameters
    ----------
    folded : every parent's weights of the layer
    mix : the merged units
    inputs : the merged units of the layer before that they read; None where all parents read the same input.
        A unit that stands in none of them counts nothing to its readers.

    Returns
    -------
    weights : (n, merged inputs, area) and bias (n,)
    """
    first = folded[0].weight
    total = first.new_zeros(mix.count, first.shape[1] if inputs is None else inputs.count, first.shape[2])
    for column, parent in enumerate(folded):
        units, places, shares = mix.members(column)
        own = parent.weight[units] * shares[:, None, None]
        total.index_add_(0, places, own if inputs is None else inputs.represent(column, own))
    return Folded(total, mix.average([parent.bias for parent in folded]))


def mixed_norms(states: Sequence[NormState | None], mix: Mix) -> NormState | None:
    """Average how the members are written with a batch norm; None if the layer has none."""
    known = [state for state in states if state is not None]
    if not known:
        return None
    names = ("variance", "scale", "centre")
    return NormState(**{name: mix.average([getattr(state, name) for state in known]) for name in names})


def mixed_state(states: Sequence[Mapping[str, Tensor]], mix: Mix, features: int) -> dict[str, Tensor]:
    """Average the state of batch norms that stand behind an activation; `features` values per unit."""
    mixed: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if first.ndim == 0:
            mixed[name] = first.clone()
            continue
        values = [state[name].reshape(-1, features) for state in states]
        mixed[name] = mix.average(values).flatten().to(first.dtype)
    return mixed
