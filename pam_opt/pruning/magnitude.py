"""Magnitude: units with small incoming weights go first."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pam_opt.folding import fold
from pam_opt.gradients import Place
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.pruner import Pruner, Scores, hidden_places
from pam_opt.tasks import Task
from pam_opt.training import Batches


class Magnitude(Pruner):
    """Score a unit by the L2 norm of its incoming weights, in units of the root mean square of its place.

    A batch norm that directly follows is part of the weights; the bias is not. Of units that several layers write, such
    as those of a residual stream, the weights of all these layers count. Norms grow with the number of weights,
    so that places (layer and group) compare only by each unit's share of its place. Units go by score alone, not
    per MAC: the norm is no loss.
    """

    description: ClassVar[str] = "norm of a unit's incoming weights, relative to its place"
    per_cost: ClassVar[bool] = False

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Score by the weights; the data are not looked at."""
        norms = {place: _norms(network, place) for place in hidden_places(network.structure)}
        return {place: norm / norm.square().mean().sqrt().clamp(min=1e-300) for place, norm in norms.items()}


def _norms(network: MultitaskNetwork, place: Place) -> Tensor:
    """Return (units,) the norm of all weights that write each unit of a place."""
    space, group = place
    structure = network.structure
    units = structure.units(space, group)
    weights = [
        fold(network.block(index, group), structure.layers[index]).weight.reshape(units, -1)
        for index in structure.tied(space)
        if structure.layers[index].has_weights
    ]
    return torch.cat([torch.zeros(units, 0, dtype=torch.float64), *weights], dim=1).norm(dim=1)
