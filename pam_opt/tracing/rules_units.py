"""Rules of what acts on every channel by itself: activations, pooling, padding, dropout."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pam_opt.operations import Operation, describe, unit_wise_modules
from pam_opt.tracing.calls import Call
from pam_opt.tracing.registry import function_rule, module_rule
from pam_opt.tracing.values import Extent, Layout, Size, Value

_OF_MAPS = ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "zero_pad2d", "upsample")
_RANDOM = ("dropout", "dropout2d")


def apply_module(call: Call, value: Any, module: nn.Module) -> Value:
    """Record a module that has a description as an operation without weights."""
    operation = describe(module)
    if operation is None:
        call.refuse("is not supported; supported: " + SUPPORTED)
    return apply_operation(call, value, operation)


def apply_operation(call: Call, value: Any, operation: Operation) -> Value:
    """Record an operation without weights, and say what layout and extent come out."""
    if operation.kind in _OF_MAPS:
        pooled = call.apply(call.need(value, Layout.MAP), operation)
        layout = Layout.RAW if pooled.layout is Layout.RAW else Layout.MAP
        return replace(pooled, layout=layout, extent=Extent(_count(operation)))
    layouts = (Layout.MAP,) if operation.kind == "dropout2d" else ()
    return call.apply(call.need(value, *layouts), operation, random=operation.kind in _RANDOM)


def _count(operation: Operation) -> int | None:
    size = operation.settings.get("output_size")
    if isinstance(size, int):
        return size * size
    if isinstance(size, list) and None not in size:
        return size[0] * size[1]
    return None


@module_rule(*unit_wise_modules())
def unit_wise(call: Call, module: nn.Module, input: Value) -> Value:
    """Read a module that is an operation already."""
    if getattr(module, "return_indices", False):
        call.refuse("returns indices; leave them out")
    if getattr(module, "divisor_override", None) is not None:
        call.refuse("has a divisor_override, which is not supported; scale the weights behind it")
    return apply_module(call, input, module)


@module_rule(nn.Identity)
def identity(call: Call, module: nn.Module, input: Value) -> Value:
    """Read a module that does nothing."""
    return call.need(input)


def _simple(make: Callable[..., nn.Module], *targets: Any, in_place: tuple[Any, ...] = ()) -> None:
    """Register functions that are a module without arguments but `inplace`."""

    def rule(call: Call, input: Value, inplace: bool = False) -> Value:
        return apply_module(call, input, make())

    function_rule(*targets, in_place=in_place)(rule)


_simple(nn.ReLU, functional.relu, torch.relu, "relu", in_place=(torch.relu_, functional.relu_, "relu_"))
_simple(nn.ReLU6, functional.relu6)
_simple(nn.SiLU, functional.silu)
_simple(nn.Mish, functional.mish)
_simple(nn.Hardswish, functional.hardswish)
_simple(nn.Hardsigmoid, functional.hardsigmoid)
_simple(nn.Tanh, torch.tanh, functional.tanh, "tanh", in_place=("tanh_",))
_simple(nn.Sigmoid, torch.sigmoid, functional.sigmoid, "sigmoid", in_place=("sigmoid_",))


@function_rule(functional.gelu)
def gelu(call: Call, input: Value, approximate: str = "none") -> Value:
    return apply_module(call, input, nn.GELU(approximate))


@function_rule(functional.leaky_relu)
def leaky_relu(call: Call, input: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    return apply_module(call, input, nn.LeakyReLU(negative_slope))


@function_rule(functional.elu)
def elu(call: Call, input: Value, alpha: float = 1.0, inplace: bool = False) -> Value:
    return apply_module(call, input, nn.ELU(alpha))


@function_rule(functional.softplus)
def softplus(call: Call, input: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    return apply_module(call, input, nn.Softplus(beta, threshold))


@function_rule(functional.dropout)
def dropout(call: Call, input: Value, p: float = 0.5, training: Any = True, inplace: bool = False) -> Value:
    return apply_module(call, input, nn.Dropout(p))


@function_rule(functional.dropout2d)
def dropout2d(call: Call, input: Value, p: float = 0.5, training: Any = True, inplace: bool = False) -> Value:
    return apply_module(call, input, nn.Dropout2d(p))


@function_rule(functional.max_pool2d, torch.max_pool2d)
def max_pool2d(
    call: Call,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Value:
    if return_indices:
        call.refuse("returns indices, which is not supported; leave them out")
    return apply_module(call, input, nn.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode))


@function_rule(functional.avg_pool2d)
def avg_pool2d(
    call: Call,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Value:
    if isinstance(kernel_size, Size) and (kernel_size.axis, stride, padding) == (3, None, 0):
        return apply_operation(call, input, Operation("avg_pool_width"))
    if isinstance(kernel_size, tuple) and any(isinstance(size, Size) for size in kernel_size):
        if [getattr(size, "axis", None) for size in kernel_size] != [2, 3] or stride is not None or padding != 0:
            call.refuse("pools by sizes of a tensor otherwise than over a whole map; use nn.AdaptiveAvgPool2d")
        return apply_module(call, input, nn.AdaptiveAvgPool2d(1))
    if isinstance(kernel_size, Size):
        call.refuse("pools by a size of a tensor otherwise than over a whole map; use nn.AdaptiveAvgPool2d")
    return apply_module(call, input, nn.AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad))


@function_rule(functional.adaptive_avg_pool2d)
def adaptive_avg_pool2d(call: Call, input: Value, output_size: Any) -> Value:
    return apply_module(call, input, nn.AdaptiveAvgPool2d(output_size))


@function_rule(functional.adaptive_max_pool2d)
def adaptive_max_pool2d(call: Call, input: Value, output_size: Any, return_indices: bool = False) -> Value:
    if return_indices:
        call.refuse("returns indices, which is not supported; leave them out")
    return apply_module(call, input, nn.AdaptiveMaxPool2d(output_size))


@function_rule("contiguous", "clone", "detach")
def same(call: Call, input: Value) -> Value:
    return call.need(input)


SUPPORTED = (
    "Linear, Conv2d (groups too), BatchNorm, GroupNorm, InstanceNorm, element-wise activations, pooling, flatten, "
    "dropout, identity, sums, differences, products, concatenation, chunk and split of channels; on tokens Linear, "
    "LayerNorm, MultiheadAttention, scaled_dot_product_attention, class tokens, position embeddings, mean or one token"
)
