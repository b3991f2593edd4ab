"""Remove units for good: the result is a physically smaller network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pam_opt.errors import PlanError
from pam_opt.gradients import Place
from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.structure import INPUT, Layer, Structure
from pam_opt.tasks import Group, combination_key


def remove_units(network: MultitaskNetwork, keep: Mapping[Place, Tensor]) -> MultitaskNetwork:
    """Build the network that has only the units to keep, with their weights.

    Parameters
    ----------
    keep : (space, group) -> (units,) bool; places left out keep all their units

    Raises
    ------
    PlanError : a mask of the wrong length, or units that would read nothing afterwards
    """
    old = network.structure
    masks = [
        {group: _mask(keep, (layer.ties, group), old) for group in old.widths[index]}
        for index, layer in enumerate(old.layers)
    ]
    widths = tuple({group: int(mask.sum()) for group, mask in layer.items() if mask.any()} for layer in masks)
    smaller = MultitaskNetwork.blank(replace(old, widths=widths))
    for index, layer in enumerate(old.layers):
        for group, block in smaller.blocks(index):
            columns = _columns(old, index, group, masks)
            _copy(network.block(index, group), block, layer, masks[index][group], columns)
    return smaller.train(network.training)


def _mask(keep: Mapping[Place, Tensor], place: Place, structure: Structure) -> Tensor:
    index, group = place
    units = structure.widths[index][group]
    mask = keep.get(place)
    if mask is None:
        return torch.ones(units, dtype=torch.bool)
    if mask.shape != (units,):
        raise PlanError(
            f"layer {structure.layers[index].name!r}, group {combination_key(group)!r}: mask of shape "
            f"{tuple(mask.shape)} for {units} units"
        )
    return mask.bool()


def _columns(structure: Structure, index: int, group: Group, masks: Sequence[Mapping[Group, Tensor]]) -> Tensor | None:
    """Mark the input units that stay; None for a layer whose units read themselves only."""
    if not structure.layers[index].is_dense:
        return None
    everything = torch.ones(structure.inputs, dtype=torch.bool)
    sources = structure.sources(index, group)
    return torch.cat([everything if source == INPUT else masks[source][read] for source, read in sources])


@torch.no_grad()
def _copy(old: GroupLayer, new: GroupLayer, layer: Layer, rows: Tensor, columns: Tensor | None) -> None:
    channels = rows.repeat_interleave(layer.size)
    if layer.has_weights:
        weight = old.operation.weight
        cut = weight.reshape(len(weight), -1, layer.kernel_area)[channels]
        cut = cut if columns is None else cut[:, columns]
        new.operation.weight.copy_(cut.reshape(new.operation.weight.shape))
        if old.operation.bias is not None and new.operation.bias is not None:
            new.operation.bias.copy_(old.operation.bias[channels])
    else:
        _copy_state(old.pre, new.pre, channels)
    if layer.norm is not None:
        assert old.norm is not None
        assert new.norm is not None
        _copy_state(old.norm, new.norm, channels)
    for operation, source, target in zip(layer.post, old.post, new.post, strict=True):
        _copy_state(source, target, rows.repeat_interleave(operation.features))


def _copy_state(old: nn.Module, new: nn.Module, rows: Tensor) -> None:
    state = {name: value if value.ndim == 0 else value[rows] for name, value in old.state_dict().items()}
    new.load_state_dict(state)
