"""Magnitude: units with small incoming weights go first."""

from collections.abc import Sequence
from typing import ClassVar

from pam_opt.folding import fold
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.pruner import Pruner, Scores, hidden_blocks
from pam_opt.tasks import Task
from pam_opt.training import Batches


class Magnitude(Pruner):
    """Score a unit by the L2 norm of its incoming weights, in units of the root mean square of its place.

    A batch norm that directly follows is part of the weights; the bias is not. Norms grow with the number of weights,
    so that places (layer and group) compare only by each unit's share of its place. Units go by score alone, not
    per MAC: the norm is no loss.
    """

    description: ClassVar[str] = "norm of a unit's incoming weights, relative to its place"
    per_mac: ClassVar[bool] = False

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Score by the weights; the data are not looked at."""
        layers = network.structure.layers
        norms = {
            place: fold(block, layers[place[0]]).weight.flatten(1).norm(dim=1)
            for place, block in hidden_blocks(network)
        }
        return {place: norm / norm.square().mean().sqrt().clamp(min=1e-300) for place, norm in norms.items()}
