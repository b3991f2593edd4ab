"""Pre-activations of every group of units, and the tasks' loss gradients at them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from pam_opt.errors import DataError, UnsupportedModel
from pam_opt.network import MultitaskNetwork
from pam_opt.structure import Layer
from pam_opt.tasks import Group, Task, combination_key

Place = tuple[int, Group]
"""Index of a space (the first of the layers that write the same units) and group: where a block of units stands."""

Tap = tuple[int, Group]
"""Index of a layer with weights, and group: where pre-activations are read. In a chain, taps are places."""


@contextmanager
def tapped(network: MultitaskNetwork) -> Iterator[dict[Tap, Tensor]]:
    """Collect the pre-activations of all hidden layers that have weights, at each run inside.

    Convolutions give (N, channels, H, W), linear layers (N, channels) or (N, tokens, channels).
    """
    taps: dict[Tap, Tensor] = {}

    def hook(place: Tap):
        def keep(_module: object, _inputs: object, output: Tensor) -> Tensor:
            # A network whose parameters are frozen still needs gradients at its units.
            taps[place] = output if output.requires_grad or not torch.is_grad_enabled() else output.requires_grad_()
            return taps[place]

        return keep

    handles = [
        block.pre.register_forward_hook(hook((index, group)))
        for index, layer in enumerate(network.structure.layers[:-1])
        if layer.has_weights
        for group, block in network.blocks(index)
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


@torch.enable_grad()
def loss_gradients(
    network: MultitaskNetwork, x: Tensor, targets: Mapping[str, Tensor], tasks: Sequence[Task]
) -> tuple[dict[Tap, Tensor], dict[str, dict[Tap, Tensor]]]:
    """Return all pre-activations, and for each task the gradient of every *sample's* loss at them.

    The network should be in evaluation mode, so that samples do not mix in batch norms. No parameter's
    ``.grad`` changes.

    Returns
    -------
    taps : tap -> pre-activations, see `tapped`
    gradients : task -> tap -> gradient of the same shape; taps that the task does not reach are left out

    Raises
    ------
    UnsupportedModel : activations that are not finite; names the layer
    DataError, TaskError : a loss or gradients that are not finite, and what `Task.mean_loss` refuses
    """
    taps, outputs = _run(network, x)
    places, values = list(taps), list(taps.values())
    gradients: dict[str, dict[Tap, Tensor]] = {}
    for task in tasks:
        # The loss is a mean over the batch; times N gives the gradient of each sample's own loss.
        loss = task.mean_loss(outputs[task.name], targets[task.name]) * len(x)
        if not torch.isfinite(loss):
            raise DataError(f"task {task.name!r}: its loss is {loss.item()}; check the outputs, the targets and loss=")
        found = torch.autograd.grad(loss, values, retain_graph=True, allow_unused=True) if values else ()
        gradients[task.name] = {place: g for place, g in zip(places, found, strict=True) if g is not None}
        for place, gradient in gradients[task.name].items():
            if not torch.isfinite(gradient).all():
                raise DataError(
                    f"task {task.name!r}: the gradient of its loss is not finite at {_where(network, place)}; "
                    "check loss= and the targets"
                )
    return {place: value.detach() for place, value in taps.items()}, gradients


@torch.enable_grad()
def gate_gradients(
    network: MultitaskNetwork, x: Tensor, targets: Mapping[str, Tensor], tasks: Sequence[Task]
) -> dict[Place, Tensor]:
    """Return dLoss/dg of a gate g = 1 at every hidden unit, (units,): ``sum over samples and positions of y dLoss/dy``.

    The loss is that of training: the mean over the tasks of their mean losses. Units that no task depends on have 0.
    Where several layers write a unit, one gate scales what all of `Structure.gates` give.

    Raises
    ------
    UnsupportedModel : activations that are not finite; names the layer
    DataError : gradients that are not finite; names the layer
    """
    taps, outputs = _run(network, x)
    losses = [task.mean_loss(outputs[task.name], targets[task.name]) for task in tasks]
    found = torch.autograd.grad(torch.stack(losses).mean(), list(taps.values()), materialize_grads=True)
    products = gate_products(network, taps, dict(zip(taps, found, strict=True)))
    gates = {place: product.sum(0) for place, product in products.items()}
    for place, gradient in gates.items():
        if not torch.isfinite(gradient).all():
            raise DataError(
                f"the gradient of the loss at {_where(network, place)} is not finite; check the data, loss= and weights"
            )
    return gates


def gate_products(
    network: MultitaskNetwork, taps: Mapping[Tap, Tensor], gradients: Mapping[Tap, Tensor]
) -> dict[Place, Tensor]:
    """Return each sample's ``dLoss/dg = sum over positions of y dLoss/dy`` of one gate g = 1 a unit, (N, units).

    The mean of its square over samples is the Taylor importance of the unit; the published method [1]_ squares the
    gradient of a whole mini-batch: the same expectation of fewer, noisier terms. Places that no gradient reaches are
    left out.

    .. [1] Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771
    """
    found: dict[Place, Tensor] = {}
    for space in network.structure.spaces:
        for index in network.structure.gates(space):
            layer = network.structure.layers[index]
            for group in network.structure.widths[index]:
                gradient = gradients.get((index, group))
                if gradient is None:
                    continue
                product = unit_values(layer, taps[index, group].detach() * gradient).sum(2)
                found[space, group] = found[space, group] + product if (space, group) in found else product
    return found


def unit_values(layer: Layer, values: Tensor) -> Tensor:
    """Lay out what a layer gives as (N, units, values of one unit: positions and its channels)."""
    if layer.kind == "linear" and values.ndim > 2:
        values = values.transpose(1, 2)
    flat = values.flatten(2) if values.ndim > 2 else values.unsqueeze(2)
    return flat if layer.size == 1 else flat.unflatten(1, (-1, layer.size)).flatten(2)


def _run(network: MultitaskNetwork, x: Tensor) -> tuple[dict[Tap, Tensor], dict[str, Tensor]]:
    """Return all pre-activations, after checking that they are finite, and the outputs."""
    with tapped(network) as taps:
        outputs = network(x)
    for place, values in taps.items():
        if not torch.isfinite(values).all():
            raise UnsupportedModel(
                f"{_who(network)}: activations of {_where(network, place)} hold NaN or infinite values; "
                "check the weights and the scale of the inputs"
            )
    return taps, outputs


def _who(network: MultitaskNetwork) -> str:
    return f"parent {network.tasks[0]!r}" if len(network.tasks) == 1 else "the network"


def _where(network: MultitaskNetwork, place: Place) -> str:
    index, group = place
    shared = f", group {combination_key(group)!r}," if len(network.tasks) > 1 else ""
    return f"layer {network.structure.layers[index].name!r}{shared}"
