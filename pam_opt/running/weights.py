"""The modules of one call: batch norms folded in, rows of groups below each other, zeros where the lattice forbids."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.running.blocks import Block
from pam_opt.structure import Layer, Structure
from pam_opt.tasks import Group


@torch.no_grad()
def joined_operation(network: MultitaskNetwork, index: int, block: Block) -> nn.Module:
    """Build the operation of a block, in evaluation mode, from those of its groups; weights are copies."""
    structure, layer = network.structure, network.structure.layers[index]
    members = {group: network.block(index, group) for group in block.groups}
    if not layer.has_weights:
        # What joins units one by one has no weights, and groups of a layer norm stand alone.
        return copy.deepcopy(next(iter(members.values())).pre[0])
    folded = {group: _fold(member) for group, member in members.items()}
    weights = [
        _spread(structure, index, group, weight, block) if layer.is_dense else weight
        for group, (weight, _) in folded.items()
    ]
    biases = [bias for _, bias in folded.values() if bias is not None]
    units = 1 if layer.is_dense else sum(structure.units(index, group) for group in block.groups)
    dtype = next(iter(members.values())).operation.weight.dtype
    return _operation(layer, torch.cat(weights).to(dtype), torch.cat(biases).to(dtype) if biases else None, units)


def joined_post(network: MultitaskNetwork, index: int, block: Block) -> nn.Module:
    """Build what follows the operation for all groups of a block; what does nothing in evaluation is left out."""
    units = sum(network.structure.units(index, group) for group in block.groups)
    members = [network.block(index, group).post for group in block.groups]
    modules: list[nn.Module] = []
    for place, description in enumerate(network.structure.layers[index].post):
        parts = [member[place] for member in members]
        if not isinstance(parts[0], _DropoutNd | nn.Identity):
            modules.append(copy.deepcopy(parts[0]) if len(parts) == 1 else _joined(description.build(units), parts))
    return nn.Sequential(*modules)


@torch.no_grad()
def _joined(whole: nn.Module, parts: Sequence[nn.Module]) -> nn.Module:
    """Lay the values that parts hold for each unit beside each other."""
    states = [part.state_dict() for part in parts]
    whole.load_state_dict(
        {
            name: torch.cat([state[name] for state in states]) if value.ndim else value
            for name, value in states[0].items()
        }
    )
    return whole.to(next((value for value in states[0].values() if value.is_floating_point()), torch.empty(0)))


def _fold(member: GroupLayer) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias with the running statistics of the batch norm folded in; float64."""
    operation, norm = member.operation, member.norm
    weight = operation.weight.detach().double()
    bias = None if operation.bias is None else operation.bias.detach().double()
    if norm is None:
        return weight, bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    centred = (0.0 if bias is None else bias) - norm.running_mean.double()
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1)), norm.bias.detach().double() + centred * factor


def _spread(structure: Structure, index: int, group: Group, weight: Tensor, block: Block) -> Tensor:
    """Put the columns of a group's weights where the block reads them; zeros stand where the group reads nothing."""
    features = structure.layers[index].features
    own = [structure.units(*source) * features for source in structure.sources(index, group)]
    columns = dict(zip(structure.sources(index, group), weight.split(own, dim=1), strict=True))
    parts = []
    for source in block.sources:
        empty = weight.new_zeros(len(weight), structure.units(*source) * features, *weight.shape[2:])
        parts.append(columns.get(source, empty))
    return torch.cat(parts, dim=1)


def _operation(layer: Layer, weight: Tensor, bias: Tensor | None, units: int) -> nn.Module:
    """Build the module of given weights; of units that read themselves only there are `units`."""
    rows, columns = weight.shape[:2]
    settings = {"groups": 1, **layer.settings}
    with torch.device("meta"):
        if layer.kind == "linear":
            module: nn.Module = nn.Linear(columns, rows, bias=bias is not None)
        else:
            settings["groups"] *= units
            module = nn.Conv2d(columns * settings["groups"], rows, bias=bias is not None, **settings)
    state = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False)
