"""What clusters of units read, on inputs that are common to all parents."""

from collections.abc import Sequence

import numpy as np

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


def writers_of(request: Request, index: int) -> list[int]:
    """List the layers with weights that write a space."""
    layers = request.structure.layers
    return [writer for writer in request.structure.tied(request.structure.spaces[index]) if layers[writer].has_weights]


def folded_weights(request: Request, writer: int) -> list[Folded]:
    """Read the weights of every parent in one layer, batch norm folded in."""
    layer = request.structure.layers[writer]
    return [fold(parent.block(writer, frozenset({task})), layer) for task, parent in request.parents.items()]


def _weights(request: Request, writer: int, mix: Mix, planned: Sequence[LayerPlan]) -> list[np.ndarray]:
    """Return the weights and the bias of one layer, (clusters, values) each; nothing if an input is not planned yet."""
    layer = request.structure.layers[writer]
    positions = [request.position(source) if layer.is_dense and source != INPUT else None for source in layer.inputs]
    if any(position is not None and position >= len(planned) for position in positions):
        return []
    inputs = [None if position is None else Mix.of(request.decided(position, planned)) for position in positions]
    mixed = mixed_weights(folded_weights(request, writer), mix, inputs, layer.size)
    return [part.reshape(mix.count, -1).numpy() for part in (mixed.weight, mixed.bias)]
