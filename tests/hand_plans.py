"""Plans by hand and networks in another order, for networks with branches."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pam_opt.network import MultitaskNetwork
from pam_opt.plans import LayerPlan, Plan
from pam_opt.structure import INPUT, Structure
from pam_opt.tasks import Group

Networks = Mapping[str, MultitaskNetwork]
Orders = dict[int, np.ndarray]
"""Space -> for each place of the permuted network the unit that stands there."""


def units_of(networks: Networks, space: int) -> list[int]:
    """Count the units of every parent in a space."""
    return [network.structure.widths[space][frozenset({task})] for task, network in networks.items()]


def structure_of(networks: Networks) -> Structure:
    return next(iter(networks.values())).structure


def _own_groups(tasks: list[str], units: list[int]) -> list[Group]:
    return [frozenset({task}) for task, count in zip(tasks, units, strict=True) for _ in range(count)]


def plan_apart(networks: Networks, seed: int | None = None) -> Plan:
    """Merge nothing; with a seed, put the units of every space that may be regrouped into a random order."""
    structure, rng = structure_of(networks), np.random.default_rng(seed)
    layers = []
    for space in structure.spaces:
        layer, units = structure.layers[space], units_of(networks, space)
        orders = [
            rng.permutation(count) if seed is not None and not layer.kept else np.arange(count) for count in units
        ]
        ends = np.cumsum([0, *units])
        places = [order + start for order, start in zip(orders, ends, strict=False)]
        shares = [np.ones(count) for count in units]
        layers.append(LayerPlan.build(layer.name, places, shares, _own_groups(list(networks), units)))
    return Plan(tuple(networks), tuple(layers), structure.input_shape)


def plan_pairs(networks: Networks, seed: int, part: float = 0.5) -> Plan:
    """Merge random pairs of two parents: a part of the smaller one's units in every space that may be shared."""
    structure, rng = structure_of(networks), np.random.default_rng(seed)
    first, second = networks
    layers = []
    for space in structure.spaces:
        (m, n), name = units_of(networks, space), structure.layers[space].name
        pairs = int(np.ceil(part * min(m, n))) if structure.shareable[space] else 0
        one, two = (rng.permutation(count) if structure.shareable[space] else np.arange(count) for count in (m, n))
        members = [(a, b) for a, b in zip(one[:pairs], two[:pairs], strict=True)]
        members += [(a, -1) for a in one[pairs:]] + [(-1, b) for b in two[pairs:]]
        rows = np.array(members)
        shares = (rows >= 0) / (rows >= 0).sum(1, keepdims=True)
        groups = [frozenset(task for task, unit in zip((first, second), row, strict=True) if unit >= 0) for row in rows]
        layers.append(LayerPlan.of_members(name, rows, shares, groups, (m, n)))
    return Plan((first, second), tuple(layers), structure.input_shape)


def plan_twins(networks: Networks, orders: Orders, spaces: set[int] | None = None) -> Plan:
    """Merge every unit of a parent with its twin in the permuted copy, in some spaces or in all that may be shared."""
    structure = structure_of(networks)
    layers = []
    for index, layer in enumerate(plan_apart(networks).layers):
        space = structure.spaces[index]
        if not structure.shareable[space] or (spaces is not None and space not in spaces):
            layers.append(layer)
            continue
        order = orders[space]
        members = np.stack([order, np.arange(len(order))], axis=1)
        everyone = [frozenset(networks)] * len(order)
        layers.append(LayerPlan.of_members(layer.name, members, np.full(members.shape, 0.5), everyone))
    return Plan(tuple(networks), tuple(layers), structure.input_shape)


def permuted(network: MultitaskNetwork, seed: int, task: str) -> tuple[MultitaskNetwork, Orders]:
    """Copy a network of one task, called `task` now, with the units of every space in another order."""
    rng, old = np.random.default_rng(seed), network.structure
    orders = {
        space: np.arange(count) if old.layers[space].kept else rng.permutation(count)
        for space in old.spaces
        for count in old.widths[space].values()
    }
    result = renamed(network, task)
    with torch.no_grad():
        for index, layer in enumerate(old.layers):
            order = orders.get(layer.ties)
            rows = np.arange(sum(old.widths[index].values())) if order is None else order
            ((_, block),) = result.blocks(index)
            columns = _columns(old, index, orders)
            for name, tensor in block.pre[0].state_dict().items():
                moved = _moved(tensor, rows)
                if name == "weight" and layer.is_dense:
                    moved = moved.reshape(len(moved), -1, layer.kernel_area)[:, columns].reshape(moved.shape)
                tensor.copy_(moved)
            for module in [*list(block.pre)[1:], *block.post]:
                for tensor in module.state_dict().values():
                    tensor.copy_(_moved(tensor, rows))
    return result, orders


def renamed(network: MultitaskNetwork, task: str) -> MultitaskNetwork:
    """Copy a network of one task under another task's name."""
    old = network.structure
    group = frozenset({task})
    widths = tuple({group: sum(widths.values())} for widths in old.widths)
    new = MultitaskNetwork.blank(Structure((task,), old.inputs, old.prelude, old.layers, widths, old.input_shape))
    own = f"for_{next(iter(old.tasks))}."
    new.load_state_dict({name.replace(own, f"for_{task}."): value for name, value in network.state_dict().items()})
    return new.train(network.training)


def _columns(structure: Structure, index: int, orders: Orders) -> np.ndarray:
    """List the input units of a layer in the order in which the permuted network reads them."""
    parts, start = [], 0
    for source in structure.layers[index].inputs:
        units = structure.inputs if source == INPUT else sum(structure.widths[source].values())
        order = np.arange(units) if source == INPUT else orders[structure.layers[source].ties]
        parts.append(order + start)
        start += units
    return np.concatenate(parts)


def _moved(tensor: Tensor, rows: np.ndarray) -> Tensor:
    """Return values of units in another order; every unit has as many values beside each other."""
    if tensor.ndim == 0:
        return tensor.clone()
    return tensor.unflatten(0, (len(rows), -1))[torch.from_numpy(rows)].flatten(0, 1)


def without_reading(network: MultitaskNetwork, keep: Mapping[tuple[int, Group], Tensor]) -> MultitaskNetwork:
    """Copy a network in which no dense layer reads units that are not to be kept, (space, group) -> mask."""
    result, structure = copy.deepcopy(network), network.structure
    for index, layer in enumerate(structure.layers):
        for group, block in result.blocks(index):
            if layer.is_dense:
                read = [_kept_of(structure, keep, *source) for source in structure.sources(index, group)]
                weight = block.operation.weight.data
                weight.reshape(len(weight), -1, layer.kernel_area)[:, ~torch.cat(read)] = 0
    return result


def _kept_of(structure: Structure, keep: Mapping[tuple[int, Group], Tensor], source: int, group: Group) -> Tensor:
    everything = torch.ones(structure.units(source, group), dtype=torch.bool)
    return everything if source == INPUT else keep.get((structure.layers[source].ties, group), everything)


def random_masks(structure: Structure, seed: int) -> dict[tuple[int, Group], Tensor]:
    """Choose units to keep, at least one of every group, but all where units are kept or are normalised together."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for space in structure.spaces:
        kinds = {structure.layers[index].kind for index in structure.tied(space)}
        if structure.layers[space].kept or "layer_norm" in kinds:
            continue
        for group, units in structure.widths[space].items():
            mask = torch.rand(units, generator=generator) < 0.6
            mask[0] = True
            masks[space, group] = mask
    return masks
