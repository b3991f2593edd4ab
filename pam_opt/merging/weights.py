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

    def average_rows(self, rows: Sequence[Tensor], size: int = 1) -> Tensor:
        """Return ``sum_k y_k S_k'`` of rows (samples, units x size) of every parent, in their own precision."""
        total = torch.zeros(len(rows[0]), self.count, size)
        for column, values in enumerate(rows):
            units, places, shares = self.members(column)
            total.index_add_(1, places, values.unflatten(1, (-1, size))[:, units] * shares.float()[:, None])
        return total.flatten(1)

    def represent(self, column: int, weight: Tensor) -> Tensor:
        """Return ``W_k R_k``: a parent's weights (n, units, area) as read from these merged units, (n, count, area)."""
        units = np.flatnonzero(self.places[column] >= 0)
        total = weight.new_zeros(len(weight), self.count, weight.shape[2])
        return total.index_add_(1, torch.from_numpy(self.places[column][units]), weight[:, torch.from_numpy(units)])


def mixed_weights(folded: Sequence[Folded], mix: Mix, inputs: Sequence[Mix | None], size: int = 1) -> Folded:
    """Average the members' weights, read on merged inputs.

    Parameters
    ----------
    folded : every parent's weights of the layer
    mix : the merged units
    inputs : for every layer that is read, the merged units of it that they read; None where all parents read the same
        input. A unit that stands in none of them counts nothing to its readers.
    size : channels of one unit

    Returns
    -------
    weights : (n x size, merged inputs, area) and bias (n x size,)
    """
    total: Tensor | None = None
    for column, parent in enumerate(folded):
        units, places, shares = mix.members(column)
        own = parent.weight.unflatten(0, (-1, size))[units] * shares[:, None, None, None]
        read = _read(own.flatten(0, 1), inputs, column).unflatten(0, (-1, size))
        if total is None:
            total = read.new_zeros(mix.count, *read.shape[1:])
        total.index_add_(0, places, read)
    assert total is not None
    bias = mix.average([parent.bias.unflatten(0, (-1, size)) for parent in folded])
    return Folded(total.flatten(0, 1), bias.flatten())


def _read(weight: Tensor, inputs: Sequence[Mix | None], column: int) -> Tensor:
    """Turn a parent's weights on its own inputs into weights on the merged ones, input after input."""
    known = [None if mix is None else len(mix.places[column]) for mix in inputs]
    common = weight.shape[1] - sum(units for units in known if units is not None)
    parts = weight.split([common if units is None else units for units in known], dim=1)
    read = [part if mix is None else mix.represent(column, part) for part, mix in zip(parts, inputs, strict=True)]
    return torch.cat(read, dim=1)


def mixed_norms(states: Sequence[NormState | None], mix: Mix, size: int = 1) -> NormState | None:
    """Average how the members are written with a batch norm; None if the layer has none."""
    known = [state for state in states if state is not None]
    if not known:
        return None
    names = ("variance", "scale", "centre")
    return NormState(
        **{
            name: mix.average([getattr(state, name).unflatten(0, (-1, size)) for state in known]).flatten()
            for name in names
        }
    )


def mixed_state(states: Sequence[Mapping[str, Tensor]], mix: Mix, features: int) -> dict[str, Tensor]:
    """Average the state of operations that act unit by unit, such as batch norms; `features` values per unit."""
    mixed: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if first.ndim == 0:
            mixed[name] = first.clone()
            continue
        values = [state[name].reshape(-1, features) for state in states]
        mixed[name] = mix.average(values).flatten().to(first.dtype)
    return mixed
