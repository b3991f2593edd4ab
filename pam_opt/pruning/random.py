"""Random: the control that looks at nothing."""

from collections.abc import Sequence
from typing import ClassVar

import torch

from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.pruner import Pruner, Scores, hidden_places
from pam_opt.tasks import Task
from pam_opt.training import Batches


class Random(Pruner):
    """Draw every unit's score anew at every removal, uniformly; units go by score alone, not per MAC.

    Parameters
    ----------
    seed : of its own generator, which leaves the global random numbers alone; None draws the seed from them
    """

    description: ClassVar[str] = "units drawn at random, the control"
    per_cost: ClassVar[bool] = False

    def __init__(self, seed: int | None = None) -> None:
        self._generator = torch.Generator()
        self._generator.manual_seed(int(torch.randint(2**31, ())) if seed is None else seed)

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Draw scores; neither the data nor the weights are looked at."""
        return {
            place: torch.rand(network.structure.units(*place), generator=self._generator, dtype=torch.float64)
            for place in hidden_places(network.structure)
        }
