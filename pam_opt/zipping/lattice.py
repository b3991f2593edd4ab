"""The lattice form of MTZ: shared units read shared units only and are computed once for all tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pam_opt.folding import fold
from pam_opt.merging.closed_form import write_closed_form
from pam_opt.merging.moments import TaskData
from pam_opt.merging.weights import Mix, mixed_state
from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.plans import LayerPlan
from pam_opt.structure import Structure
from pam_opt.tasks import Group
from pam_opt.zipping.views import embedded_rows, reorder_inputs


@dataclass(frozen=True)
class LatticeForm:
    """Hold a partly zipped network: behind the layers that are zipped, every unit serves its own task only."""

    network: MultitaskNetwork

    @classmethod
    def of(cls, parents: Mapping[str, MultitaskNetwork]) -> "LatticeForm":
        """Lay networks of one task beside each other."""
        first = next(iter(parents.values())).structure
        own = {task: frozenset({task}) for task in parents}
        widths = tuple(
            {own[task]: parent.structure.widths[index][own[task]] for task, parent in parents.items()}
            for index in range(len(first.layers))
        )
        network = MultitaskNetwork.blank(replace(first, tasks=tuple(parents), widths=widths))
        for index in range(len(first.layers)):
            for task, parent in parents.items():
                network.block(index, own[task]).load_state_dict(parent.block(index, own[task]).state_dict())
        return cls(network.eval())

    @property
    def structure(self) -> Structure:
        """Layers and widths so far."""
        return self.network.structure

    def weight_rows(self, index: int) -> dict[str, Tensor]:
        """Read the weights of a layer that is not zipped yet, on all inputs: task -> (units, values + 1)."""
        layer = self.structure.layers[index]
        return {
            task: embedded_rows(fold(self.network.block(index, frozenset({task})), layer), self.structure, index, task)
            for task in self.network.tasks
        }

    def moments(self, index: int, data: TaskData) -> dict[str, Tensor]:
        """Return the second moments of all inputs of a layer, see `TaskData`."""
        return data.moments(dict.fromkeys(self.network.tasks, self.network), index)

    @torch.no_grad()
    def zip_layer(
        self, index: int, plan: LayerPlan, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]
    ) -> "LatticeForm":
        """Build the network in which one more layer is zipped.

        Parameters
        ----------
        plan : of the layer; every unit stands in one merged unit
        weights, moments : as in `pam_opt.merging.closed_form.merged_rows`
        """
        widths = list(self.structure.widths)
        widths[index] = plan.widths
        zipped = MultitaskNetwork.blank(replace(self.structure, widths=tuple(widths)))
        for place in range(len(widths)):
            for group, block in zipped.blocks(place):
                if place == index:
                    self._write(block, zipped.structure, (index, group), plan, weights, moments)
                    continue
                block.load_state_dict(self.network.block(place, group).state_dict())
                if place == index + 1:
                    (task,) = group
                    reorder_inputs(block, self.structure.layers[place], plan, self.network.tasks.index(task))
        return LatticeForm(zipped.eval())

    def _write(
        self,
        block: GroupLayer,
        structure: Structure,
        place: tuple[int, Group],
        plan: LayerPlan,
        weights: Mapping[str, Tensor],
        moments: Mapping[str, Tensor],
    ) -> None:
        index, group = place
        own = [self.network.block(index, frozenset({task})) for task in self.network.tasks]
        write_closed_form(block, structure, place, plan, own, weights, moments)
        mix = Mix.of(plan, plan.rows(group))
        for number, operation in enumerate(structure.layers[index].post):
            if operation.is_norm:
                states = [parent.post[number].state_dict() for parent in own]
                block.post[number].load_state_dict(mixed_state(states, mix, operation.features))

    def trained(self, train: Callable[[nn.Module], None]) -> "LatticeForm":
        """Train the network."""
        train(self.network)
        return self

    def finish(self) -> MultitaskNetwork:
        """Return the network in evaluation mode."""
        return self.network.eval()
