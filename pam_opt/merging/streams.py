"""A merged network and its parents, run side by side, layer after layer, over all calibration batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pam_opt.data import checked
from pam_opt.network import MultitaskNetwork, Values
from pam_opt.tasks import Group
from pam_opt.training import Batches


@dataclass
class Stream:
    """One batch on its way through all networks.

    Parameters
    ----------
    fitted : values in the network that is fitted
    taught : values in each of its teachers
    samples : of the batch
    """

    fitted: Values
    taught: list[Values]
    samples: int

    @classmethod
    def all_of(
        cls, network: MultitaskNetwork, teachers: Sequence[MultitaskNetwork], calibration: Batches
    ) -> list["Stream"]:
        """Let every batch in."""
        return [
            cls(network.enter(x), [teacher.enter(x) for teacher in teachers], len(x))
            for x, _ in checked(calibration, (), what="calibration")
        ]

    def teach(self, teachers: Sequence[MultitaskNetwork], index: int) -> list[dict[Group, Tensor]]:
        """Move the teachers behind a layer; returns the pre-activations of each."""
        moved = [observed(teacher, values, index) for teacher, values in zip(teachers, self.taught, strict=True)]
        self.taught = [values for _, values in moved]
        return [seen for seen, _ in moved]


def pre_activations(network: MultitaskNetwork, index: int, values: Values) -> dict[Group, Tensor]:
    """Return the pre-activations of all groups of a layer."""
    return {group: block.pre(network.inputs_of(index, group, values)) for group, block in network.blocks(index)}


def observed(network: MultitaskNetwork, values: Values, index: int) -> tuple[dict[Group, Tensor], Values]:
    """Run a layer, and return its pre-activations as well; runs all hooks, gates among them."""
    seen: dict[Group, Tensor] = {}

    def keep(group: Group) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            seen[group] = output

        return hook

    handles = [block.pre.register_forward_hook(keep(group)) for group, block in network.blocks(index)]
    try:
        return seen, network.advance(index, values)
    finally:
        for handle in handles:
            handle.remove()
