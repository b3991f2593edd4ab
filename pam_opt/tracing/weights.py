"""Copy a traced module's weights into a network, and check that both compute the same."""

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pam_opt.errors import UnsupportedModel
from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.tasks import Group
from pam_opt.tracing.graph import LayerGraph
from pam_opt.tracing.steps import Weights

_TOLERANCE = 1e-3


def check_finite(module: nn.Module, who: str) -> None:
    """Refuse weights without values, and those that are NaN or infinite.

    Raises
    ------
    UnsupportedModel : names the weight
    """
    for name, tensor in module.state_dict().items():
        if is_lazy(tensor) or tensor.is_meta:
            raise UnsupportedModel(f"{who}: weight {name!r} has no values yet; run the module once or load its weights")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UnsupportedModel(f"{who}: weight {name!r} holds NaN or infinite values; train it again or repair it")


def copy_weights(graph: LayerGraph, network: MultitaskNetwork, group: Group) -> None:
    """Copy weights and statistics of every layer."""
    for index, layer in enumerate(graph.layers):
        block = network.block(index, group)
        for place, weights in graph.weights[layer.name].items():
            _copy(weights, _target(block, place))


def _target(block: GroupLayer, place: str) -> nn.Module:
    if place == "operation":
        return block.pre[0]
    return block.pre[1] if place == "norm" else block.post[int(place)]


@torch.no_grad()
def _copy(weights: Weights, target: nn.Module) -> None:
    state = target.state_dict()
    for name, rows in weights.rows().items():
        state[name].copy_(rows.reshape(state[name].shape))


@torch.no_grad()
def check_same(module: nn.Module, network: MultitaskNetwork, input_shape: tuple[int, ...], who: str) -> None:
    """Run both on one random sample: what was not understood must not pass as such.

    Raises
    ------
    UnsupportedModel : the module does not take the shape, or the outputs differ
    """
    training, trained = [part.training for part in module.modules()], network.training
    generator = torch.Generator().manual_seed(0)
    first = next(module.parameters())
    x = torch.rand(2, *input_shape, generator=generator, dtype=torch.float32).to(first.device, first.dtype)
    with torch.random.fork_rng(devices=[]):
        try:
            wanted = module.eval()(x)
        except (RuntimeError, ValueError, TypeError, IndexError) as err:
            raise UnsupportedModel(f"{who}: an input of shape {input_shape} does not fit: {err}") from err
        finally:
            for part, mode in zip(module.modules(), training, strict=True):
                part.training = mode
        (found,) = network.eval()(x.cpu()).values()
    network.train(trained)
    wanted = wanted.cpu().to(found.dtype)
    scale = wanted.abs().max().clamp(min=1e-30)
    if found.shape != wanted.shape or not (found - wanted).abs().max() <= _TOLERANCE * scale:
        raise UnsupportedModel(
            f"{who}: the traced network gives another output than the module for an input of shape {input_shape}; "
            "an operation has an effect that tracing does not see: take it out of the module"
        )
