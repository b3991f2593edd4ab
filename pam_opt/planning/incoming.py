"""What clusters of units read, on inputs that are common to all parents."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from pam_opt.errors import PlanError
from pam_opt.folding import Folded, fold
from pam_opt.merging.weights import Mix, mixed_weights
from pam_opt.planning.clusters import Incoming
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, place_members
from pam_opt.structure import INPUT


def incoming_weights(request: Request, planned: Sequence[LayerPlan]) -> Incoming:
    """Return what gives the incoming weights, with bias, of clusters of the space behind those planned so far.

    Of a space that several layers write, such as a residual stream, the weights of all of them lie side by side. A
    layer that reads a space that is planned later is left out: the parents' own orders of units say nothing about
    which of them belong together.
    """
    index = len(planned)

    def incoming(members: np.ndarray, shares: np.ndarray) -> np.ndarray:
        mix = Mix(*place_members(members, shares, request.units(index)), len(members))
        parts = [part for writer in writers_of(request, index) for part in _weights(request, writer, mix, planned)]
        if not parts:
            raise PlanError(
                f"layer {request.layer(index).name!r}: no layer with weights writes its units from inputs that are "
                "planned before; use a cost of activations, such as cost='fisher'"
            )
        return np.concatenate(parts, axis=1)

    return incoming


def segments(request: Request, writer: int) -> Iterator[tuple[int, list[Folded]]]:
    """Cut the folded weights of a layer by what it reads: (layer index or `INPUT`, weights of every parent).

    Weights are (units, inputs, area) with the channels of a unit, where it has several, as part of the area. Of a
    layer that keeps units apart there is one segment, of `INPUT`: what a unit reads is no choice. The bias, which
    belongs to no segment, is with all of them.
    """
    layer = request.structure.layers[writer]
    whole = [
        _by_unit(fold(parent.block(writer, frozenset({task})), layer), layer.size)
        for task, parent in request.parents.items()
    ]
    if not layer.is_dense:
        yield INPUT, whole
        return
    start = [0] * len(whole)
    for source in layer.inputs:
        stop = [
            begin + parent.structure.units(source, frozenset({task}))
            for begin, (task, parent) in zip(start, request.parents.items(), strict=True)
        ]
        cut = zip(whole, start, stop, strict=True)
        yield source, [Folded(own.weight[:, begin:end], own.bias) for own, begin, end in cut]
        start = stop


def _by_unit(folded: Folded, size: int) -> Folded:
    """Make one row of the channels of each unit."""
    if size == 1:
        return folded
    rows, inputs, area = folded.weight.shape
    weight = folded.weight.reshape(rows // size, size, inputs, area).transpose(1, 2)
    return Folded(weight.reshape(rows // size, inputs, size * area), folded.bias.reshape(-1, size))


def writers_of(request: Request, index: int) -> list[int]:
    """List the layers with weights that write a space."""
    layers = request.structure.layers
    return [writer for writer in request.structure.tied(request.structure.spaces[index]) if layers[writer].has_weights]


def _weights(request: Request, writer: int, mix: Mix, planned: Sequence[LayerPlan]) -> list[np.ndarray]:
    """Return the weights of one layer, input after input, and its bias; nothing if an input is not planned yet."""
    parts: list[Tensor] = []
    bias: Tensor | None = None
    for source, folded in segments(request, writer):
        position = None if source == INPUT else request.position(source)
        if position is not None and position >= len(planned):
            return []
        inputs = None if position is None else Mix.of(request.decided(position, planned))
        mixed = mixed_weights(folded, mix, inputs)
        parts, bias = [*parts, mixed.weight.flatten(1)], mixed.bias
    assert bias is not None
    return [part.numpy() for part in parts] + [bias.reshape(mix.count, -1).numpy()]
