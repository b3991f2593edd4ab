"""Rules of normalisation: batch norm, group norm, instance norm, and what mixes channels in a fixed order."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pam_opt.operations import Operation, describe
from pam_opt.tracing.calls import Call, state_of
from pam_opt.tracing.registry import function_rule, module_rule
from pam_opt.tracing.values import Layout, Value


@module_rule(nn.BatchNorm1d, nn.BatchNorm2d)
def batch_norm(call: Call, module: nn.BatchNorm1d | nn.BatchNorm2d, input: Value) -> Value:
    """Read a batch norm; behind a concatenation it is cut into parts."""
    layouts = (Layout.MAP,) if isinstance(module, nn.BatchNorm2d) else (Layout.VECTOR, Layout.FLAT)
    value = call.need_units(input, *layouts)
    if not module.affine or not module.track_running_stats or module.momentum is None:
        call.refuse("needs affine=True, track_running_stats=True and a momentum")
    positions, left = divmod(module.num_features, value.channels)
    known = value.extent.count if value.layout is Layout.FLAT else 1
    if left or not positions or known not in (None, positions):
        call.refuse(f"normalises {module.num_features} features of {value.channels} units")
    if value.layout is Layout.FLAT:
        value.extent.count = positions
    operation = describe(module, positions)
    assert operation is not None
    return call.apply_weights(value, operation, state_of(module, value.channels, positions))


@module_rule(nn.GroupNorm)
def group_norm(call: Call, module: nn.GroupNorm, input: Value) -> Value:
    """Read a group norm: a unit is one group of channels, or several."""
    value = call.need_units(input, Layout.MAP, Layout.VECTOR)
    if value.channels != module.num_channels:
        call.refuse(f"normalises {module.num_channels} channels, but {value.channels} come in")
    return _norm_groups(call, module, value, module.num_groups, module.affine)


@module_rule(nn.InstanceNorm2d)
def instance_norm(call: Call, module: nn.InstanceNorm2d, input: Value) -> Value:
    """Read an instance norm, which is a group norm of single channels."""
    value = call.need_units(input, Layout.MAP)
    if module.track_running_stats:
        call.refuse("needs track_running_stats=False; use BatchNorm2d for running statistics")
    if module.affine and module.num_features != value.channels:
        call.refuse(f"normalises {module.num_features} channels, but {value.channels} come in")
    return _norm_groups(call, module, value, value.channels, module.affine)


def _norm_groups(
    call: Call, module: nn.GroupNorm | nn.InstanceNorm2d, value: Value, groups: int, affine: bool
) -> Value:
    operation = Operation("group_norm", {"eps": module.eps, "affine": affine, "channels": value.channels // groups})
    weights = state_of(module, value.channels) if affine else None
    return call.apply_norm_groups(value, groups, operation, weights)


@module_rule(nn.LocalResponseNorm)
def local_response_norm(call: Call, module: nn.LocalResponseNorm, input: Value) -> Value:
    """Read a norm over neighbouring channels: their order is fixed."""
    operation = describe(module)
    assert operation is not None
    return call.apply_whole(call.need_units(input, Layout.MAP), operation, "mixes neighbouring channels")


@module_rule(nn.Softmax, nn.LogSoftmax)
def softmax_module(call: Call, module: nn.Softmax | nn.LogSoftmax, input: Value) -> Value:
    """Read a softmax over channels."""
    return _softmax(call, input, module.dim, isinstance(module, nn.LogSoftmax))


@function_rule(functional.softmax, torch.softmax, "softmax")
def softmax(call: Call, input: Value, dim: int | None = None, _stacklevel: int = 3, dtype: None = None) -> Value:
    return _softmax(call, input, dim, False)


@function_rule(functional.log_softmax, torch.log_softmax, "log_softmax")
def log_softmax(call: Call, input: Value, dim: int | None = None, _stacklevel: int = 3, dtype: None = None) -> Value:
    return _softmax(call, input, dim, True)


def _softmax(call: Call, input: Any, dim: int | None, log: bool) -> Value:
    value = call.need_units(input, Layout.VECTOR, Layout.MAP, Layout.TOKENS)
    if dim is None or not value.layout.is_channels(dim):
        call.refuse(f"normalises over axis {dim} of {value.layout.value}; only the axis of the channels is supported")
    axis = value.layout.channel_axis
    operation = Operation("log_softmax" if log else "softmax", {"dim": axis})
    return call.apply_whole(value, operation, "mixes all channels")


@module_rule(nn.ChannelShuffle)
def channel_shuffle(call: Call, module: nn.ChannelShuffle, input: Value) -> Value:
    """Read a shuffle of channels in a fixed order."""
    value = call.need_units(input, Layout.MAP)
    if value.channels % module.groups:
        call.refuse(f"shuffles {value.channels} channels in {module.groups} groups; the number must divide")
    operation = Operation("channel_shuffle", {"groups": module.groups})
    return call.apply_whole(value, operation, "shuffles channels in a fixed order")


@module_rule(nn.PReLU)
def prelu(call: Call, module: nn.PReLU, input: Value) -> Value:
    """Read a leaky activation with a slope for every channel, or with one, which every channel then has."""
    value = call.need_units(input, Layout.MAP, Layout.VECTOR)
    weights = state_of(module, value.channels)
    if module.num_parameters == 1:
        shared = weights.tensors["weight"].expand(value.channels)
        weights = replace(weights, tensors={"weight": shared})
    elif module.num_parameters != value.channels:
        call.refuse(f"has {module.num_parameters} slopes, but {value.channels} channels come in")
    return call.apply_weights(value, Operation("prelu"), weights)
