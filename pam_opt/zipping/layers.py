"""Zip one layer of a partly zipped network: the layers behind keep their weights, one set for each task."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pam_opt.folding import fold
from pam_opt.merging.closed_form import write_closed_form
from pam_opt.merging.rows import readable_values
from pam_opt.merging.weights import Mix, mixed_state
from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer
from pam_opt.tasks import Group


def side_by_side(parents: Mapping[str, MultitaskNetwork]) -> MultitaskNetwork:
    """Lay networks of one task beside each other: one network in which every unit serves its own task."""
    first = next(iter(parents.values())).structure
    depth = range(len(first.layers))
    own = {task: frozenset({task}) for task in parents}
    widths = tuple({own[task]: p.structure.widths[index][own[task]] for task, p in parents.items()} for index in depth)
    network = MultitaskNetwork.blank(replace(first, tasks=tuple(parents), widths=widths))
    for index in depth:
        for task, parent in parents.items():
            block = network.block(index, own[task])
            block.load_state_dict(parent.block(index, own[task]).state_dict())
    return network.eval()


def own_weight_rows(network: MultitaskNetwork, index: int) -> dict[str, Tensor]:
    """Read the weights of a layer that is not zipped yet, on all inputs: task -> (units, values + 1)."""
    structure, rows = network.structure, {}
    widths = structure.widths[index - 1].values() if index else [structure.inputs]
    values = sum(widths) * structure.layers[index].kernel_area
    for task in network.tasks:
        folded = fold(network.block(index, frozenset({task})), structure.layers[index])
        rows[task] = torch.zeros(len(folded.weight), values + 1, dtype=torch.float64)
        rows[task][:, readable_values(structure, index, frozenset({task}))] = folded.weight.flatten(1)
        rows[task][:, -1] = folded.bias
    return rows


@torch.no_grad()
def zip_layer(
    network: MultitaskNetwork,
    index: int,
    plan: LayerPlan,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
) -> MultitaskNetwork:
    """Build the network in which one more layer is zipped.

    Parameters
    ----------
    network : zipped in front of the layer; behind it, and in it, every unit serves its own task only
    plan : of the layer; every unit stands in one merged unit
    weights, moments : as in `pam_opt.merging.closed_form.write_closed_form`
    """
    widths = list(network.structure.widths)
    widths[index] = plan.widths
    zipped = MultitaskNetwork.blank(replace(network.structure, widths=tuple(widths)))
    for place in range(len(widths)):
        for group, block in zipped.blocks(place):
            if place == index:
                _write(block, zipped, network, (index, group), plan, weights, moments)
                continue
            block.load_state_dict(network.block(place, group).state_dict())
            if place == index + 1:
                (task,) = group
                _reorder_inputs(block, zipped.structure.layers[place], plan, network.tasks.index(task))
    return zipped.train(network.training)


def _write(
    block: GroupLayer,
    zipped: MultitaskNetwork,
    network: MultitaskNetwork,
    place: tuple[int, Group],
    plan: LayerPlan,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
) -> None:
    index, group = place
    own = [network.block(index, frozenset({task})) for task in network.tasks]
    write_closed_form(block, zipped.structure, place, plan, own, weights, moments)
    mix = Mix.of(plan, plan.rows(group))
    for number, operation in enumerate(zipped.structure.layers[index].post):
        if operation.is_norm:
            states = [parent.post[number].state_dict() for parent in own]
            block.post[number].load_state_dict(mixed_state(states, mix, operation.features))


def _reorder_inputs(block: GroupLayer, layer: Layer, plan: LayerPlan, column: int) -> None:
    """Let a task's weights behind the layer read its units where they stand now."""
    task_units = np.argsort(plan.places[column])
    weight = block.operation.weight
    by_unit = weight.reshape(len(weight), -1, layer.kernel_area)[:, torch.from_numpy(task_units)]
    weight.copy_(by_unit.reshape(weight.shape))
