"""Gates in networks with branches: they stand where a unit is read, not where it is written.

Several layers may write a unit of a residual stream, and a factor behind each of them would not be the unit's. So the
unit is multiplied in front of every layer that mixes units, by the same factor for all: it is drawn once for every
unit and sample of a run. A gate at zero is then the same as a unit that is gone, and gates fold into the weights that
read them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pam_opt.gradients import Place
from pam_opt.network import GroupLayer, MultitaskNetwork, channel_axis
from pam_opt.structure import INPUT, Source
from pam_opt.tasks import combination_key


def attach_to_readers(network: MultitaskNetwork, gates: Mapping[Place, nn.Module]) -> None:
    """Put gates in front of all layers that mix units, in place; units without a gate are read as they are.

    Parameters
    ----------
    gates : each with a method ``draw(samples)`` that returns its factors, (samples, units), or (1, units) where they
        are the same for all samples
    """
    structure = network.structure
    network.add_module("reader_gates", nn.ModuleDict({_name(place): gate for place, gate in gates.items()}))
    network.register_forward_pre_hook(_draw)
    network.register_forward_hook(_forget, always_call=True)
    for index, layer in enumerate(structure.layers):
        if not layer.is_dense:
            continue
        for group, block in network.blocks(index):
            read = [
                (
                    None if source == INPUT else gates.get((structure.layers[source].ties, own)),
                    structure.units(source, own),
                )
                for source, own in structure.sources(index, group)
            ]
            # Plain attributes: the gates are the network's modules, and a copy of it has copies of both.
            vars(block)["read"] = (read, channel_axis(layer), layer.features)
            block.register_forward_pre_hook(_scale)


def _gate(network: MultitaskNetwork, gates: Mapping[Place, nn.Module], source: Source) -> nn.Module | None:
    index, group = source
    return None if index == INPUT else gates.get((network.structure.layers[index].ties, group))


def gates_at_readers(network: MultitaskNetwork) -> dict[Place, nn.Module]:
    """Collect the gates that `attach_to_readers` put there."""
    held = dict(network.named_children()).get("reader_gates")
    if not isinstance(held, nn.ModuleDict):
        return {}
    places = [(space, group) for space in network.structure.spaces for group in network.structure.groups(space)]
    return {place: held[_name(place)] for place in places if _name(place) in held}


def _name(place: Place) -> str:
    space, group = place
    return f"{space}_for_{combination_key(group)}"


def _draw(network: MultitaskNetwork, inputs: tuple[Tensor, ...]) -> None:
    for gate in gates_at_readers(network).values():
        vars(gate)["factor"] = gate.draw(len(inputs[0]))  # type: ignore[operator]


def _forget(network: MultitaskNetwork, _inputs: object, _outputs: object) -> None:
    for gate in gates_at_readers(network).values():
        vars(gate).pop("factor", None)


def _scale(block: GroupLayer, inputs: tuple[Tensor]) -> Tensor:
    """Multiply what a block reads, all units of it beside each other, by the factors of this run."""
    (x,), (read, axis, features) = inputs, vars(block)["read"]
    factors = [vars(gate)["factor"] if gate is not None else x.new_ones(1, units) for gate, units in read]
    rows = max(len(factor) for factor in factors)
    z = torch.cat([factor.expand(rows, -1) for factor in factors], dim=1).repeat_interleave(features, dim=1)
    shape = [rows, *[1] * (x.ndim - 1)]
    shape[axis] = z.shape[1]
    return x * z.reshape(shape)
