"""Weights in one form for every kind of layer: batch norm folded in, (units, inputs, area)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pam_opt.network import GroupLayer
from pam_opt.structure import Layer

_SMALL = 1e-6


@dataclass(frozen=True)
class Folded:
    """Give pre-activations as an affine function of the inputs, batch norm folded in; float64.

    Parameters
    ----------
    weight : (units, inputs, area), area as `Layer.kernel_area`
    bias : (units,)
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class NormState:
    """Say how a folded unit is written with a batch norm; arrays (units,), float64.

    Parameters
    ----------
    variance : running variance in front of the norm: free, it sets the scale of the weights
    scale : standard deviation of the pre-activation, the norm's weight
    centre : mean of the pre-activation, the norm's bias
    """

    variance: Tensor
    scale: Tensor
    centre: Tensor


def fold(block: GroupLayer, layer: Layer) -> Folded:
    """Read a block's weights with its batch norm, in evaluation mode, folded in."""
    operation, norm = block.operation, block.norm
    weight = operation.weight.detach().double()
    weight = weight.reshape(len(weight), -1, layer.kernel_area)
    bias = weight.new_zeros(len(weight)) if operation.bias is None else operation.bias.detach().double()
    if norm is None:
        return Folded(weight, bias)
    mean, variance, gamma, beta = _norm_tensors(norm)
    factor = gamma / (variance + norm.eps).sqrt()
    return Folded(weight * factor[:, None, None], (bias - mean) * factor + beta)


def norm_state(block: GroupLayer) -> NormState | None:
    """Read how a block's units are written with a batch norm; None without one."""
    if block.norm is None:
        return None
    _, variance, gamma, beta = _norm_tensors(block.norm)
    return NormState(variance, gamma.abs(), beta)


@torch.no_grad()
def unfold(block: GroupLayer, folded: Folded, state: NormState | None) -> None:
    """Write folded weights into a block so that its evaluation mode computes exactly them."""
    operation, norm = block.operation, block.norm
    weight, bias = folded.weight, folded.bias
    if norm is not None:
        assert state is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = state.scale.clamp(min=_SMALL)
        factor = (state.variance + norm.eps).sqrt() / scale
        norm.running_mean.copy_((state.centre - bias) * factor)
        norm.running_var.copy_(state.variance)
        norm.weight.copy_(scale)
        norm.bias.copy_(state.centre)
        weight, bias = weight * factor[:, None, None], torch.zeros_like(bias)
    operation.weight.copy_(weight.reshape(operation.weight.shape))
    if operation.bias is not None:
        operation.bias.copy_(bias)


def _norm_tensors(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    return mean, variance, norm.weight.detach().double(), norm.bias.detach().double()
