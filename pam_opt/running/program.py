"""A combination of tasks as a small module of its own: only the groups it needs, few and large operations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pam_opt.macs import output_positions
from pam_opt.network import JOINED, MultitaskNetwork, channel_axis, require_multitask
from pam_opt.running.blocks import Block, arrange
from pam_opt.running.weights import joined_operation, joined_post
from pam_opt.structure import INPUT, Structure
from pam_opt.tasks import Group, check_known


@dataclass(frozen=True)
class Piece:
    """Locate units that lie beside each other in the output of one call: those from `start` to `stop` of `units`."""

    call: int
    start: int
    stop: int
    units: int

    @property
    def whole(self) -> bool:
        """Whether this is all that the call gives."""
        return self.stop - self.start == self.units

    def of(self, x: Tensor, axis: int) -> Tensor:
        """Take the units from a call's output; a view."""
        if self.whole:
            return x
        channels = x.shape[axis] // self.units
        return x.narrow(axis, self.start * channels, (self.stop - self.start) * channels)


class Call(nn.Module):
    """One operation with what follows it.

    Parameters
    ----------
    signals : for each tensor that the operation takes the pieces it is put together from
    axis : where its inputs have their units; None = 1 for maps, the last axis for all else
    joins : whether the operation takes a sequence of tensors
    """

    def __init__(
        self,
        operation: nn.Module,
        post: nn.Module,
        signals: Sequence[Sequence[Piece]],
        axis: int | None,
        joins: bool,
    ) -> None:
        super().__init__()
        self.operation, self.post = operation, post
        self.signals, self.axis, self.joins = signals, axis, joins

    def forward(self, values: dict[int, Tensor]) -> Tensor:
        taken = [self._signal(pieces, values) for pieces in self.signals]
        return self.post(self.operation(taken if self.joins else taken[0]))

    def _signal(self, pieces: Sequence[Piece], values: dict[int, Tensor]) -> Tensor:
        first = values[pieces[0].call]
        axis = self.axis if self.axis is not None else (1 if first.ndim == 4 else -1)
        parts = [piece.of(values[piece.call], axis) for piece in pieces]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=axis)


class Program(nn.Module):
    """Run one combination of tasks in evaluation mode; built by `compile_combination`.

    It holds a copy of the weights as they were, with batch norms folded in, and takes the input unchecked.
    """

    def __init__(self, prelude: nn.Module, calls: Sequence[Call], heads: dict[str, Piece]) -> None:
        super().__init__()
        self.prelude, self.calls, self.heads = prelude, nn.ModuleList(calls), heads
        read = [{piece.call for signal in call.signals for piece in signal} for call in calls]
        kept = {piece.call for piece in heads.values()}
        self._done = [set[int]() for _ in calls]
        for place in range(INPUT, len(calls)):
            last = max((index for index, places in enumerate(read) if place in places), default=None)
            if last is not None and place not in kept:
                self._done[last].add(place)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run the combination: (N, C, H, W) or (N, D) -> task name -> (N, outputs)."""
        values = {INPUT: self.prelude(x)}
        for index, call in enumerate(self.calls):
            values[index] = call(values)
            for place in self._done[index]:
                del values[place]
        return {task: piece.of(values[piece.call], -1) for task, piece in self.heads.items()}


def compile_combination(
    network: MultitaskNetwork,
    tasks: Iterable[str] | None = None,
    *,
    call_macs: float = 0.0,
    input_shape: Sequence[int] | None = None,
) -> Program:
    """Build the program of one combination: ``program(x)`` equals ``network.eval()(x, tasks)``.

    Batch norms are folded into the weights, dropout is gone, groups that read the same are one call.

    Parameters
    ----------
    tasks : names; None = all
    call_macs : MACs per sample that one call less is worth, see `pam_opt.running.arrange`
    input_shape : of one sample; needed with `call_macs` where the network does not remember it

    Raises
    ------
    TaskError : unknown or no task names
    UnsupportedModel : no `MultitaskNetwork`; with `call_macs` an input shape that is missing or does not fit
    """
    require_multitask(network, "compile_combination")
    structure = network.structure
    active = frozenset(structure.tasks) if tasks is None else check_known(tasks, structure.tasks)
    positions = output_positions(structure, input_shape) if call_macs else None
    arranged = arrange(structure, active, positions, call_macs)
    places: dict[tuple[int, Group], Piece] = {
        (INPUT, structure.everything): Piece(INPUT, 0, structure.inputs, structure.inputs)
    }
    calls: list[Call] = []
    for index, blocks in enumerate(arranged):
        for block in blocks:
            calls.append(_call(network, index, block, places))
            places.update(_places(structure, index, block, len(calls) - 1))
    last = len(structure.layers) - 1
    heads = {task: places[last, frozenset({task})] for task in structure.tasks if task in active}
    prelude = nn.Sequential(*(operation.build(structure.inputs) for operation in structure.prelude))
    return Program(prelude, calls, heads).eval().requires_grad_(False)


def program_macs(program: Program, shape: Sequence[int]) -> int:
    """Count the MACs that a program computes for one sample, zeros included."""
    dtype = next(program.parameters()).dtype
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        program(torch.zeros(1, *shape, dtype=dtype))
    return counter.get_total_flops() // 2


def _call(network: MultitaskNetwork, index: int, block: Block, places: dict[tuple[int, Group], Piece]) -> Call:
    layer = network.structure.layers[index]
    joins = layer.kind in JOINED
    read = [places[source] for source in block.sources]
    if layer.kind == "layer_norm":
        signals = [[piece] for piece in read]
    elif joins:
        count = len(block.groups)
        signals = [_merged(read[start : start + count]) for start in range(0, len(read), count)]
    else:
        signals = [_merged(read)]
    known = layer.has_weights or layer.kind in ("attention", "layer_norm")
    axis = channel_axis(layer) if known else None
    operation, post = joined_operation(network, index, block), joined_post(network, index, block)
    return Call(operation, post, signals, axis, joins)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Join pieces that lie beside each other in the same call's output."""
    joined: list[Piece] = []
    for piece in pieces:
        before = joined[-1] if joined else None
        if before is not None and (before.call, before.stop) == (piece.call, piece.start):
            joined[-1] = Piece(piece.call, before.start, piece.stop, piece.units)
        else:
            joined.append(piece)
    return joined


def _places(structure: Structure, index: int, block: Block, call: int) -> dict[tuple[int, Group], Piece]:
    """Say where each group of a block lies in the output of its call."""
    total = sum(structure.units(index, group) for group in block.groups)
    places, start = {}, 0
    for group in block.groups:
        stop = start + structure.units(index, group)
        places[index, group] = Piece(call, start, stop, total)
        start = stop
    return places
