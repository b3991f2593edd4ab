"""Rules of convolutions and linear layers."""

from torch import nn

from pam_opt.tracing.calls import Call, after, reads_raw, weights_of
from pam_opt.tracing.registry import module_rule
from pam_opt.tracing.values import Extent, Layout, Value

_CONV_SETTINGS = ("kernel_size", "stride", "padding", "dilation")


@module_rule(nn.Conv2d)
def conv2d(call: Call, module: nn.Conv2d, input: Value) -> Value:
    """Read a convolution: dense, or unit by unit where it has groups."""
    value = call.need(input, Layout.MAP)
    _check_sizes(call, module)
    if module.padding_mode != "zeros":
        call.refuse(f"has padding mode {module.padding_mode!r}; only zeros are supported")
    settings = {name: _jsonable(getattr(module, name)) for name in _CONV_SETTINGS}
    weights = weights_of(module, module.weight, module.bias)
    if module.groups > 1:
        return _grouped(call, module, value, settings)
    _check_channels(call, value, module.in_channels, "channels")
    segment = call.dense("conv2d", value, module.out_channels, weights, settings, 1)
    return after(value, segment, Layout.MAP, Extent())


def _grouped(call: Call, module: nn.Conv2d, value: Value, settings: dict) -> Value:
    if reads_raw(value):
        call.refuse("has groups, and stands in front of the first layer, where no units are; use groups=1")
    if value.channels != module.in_channels:
        call.refuse(f"takes {module.in_channels} channels, but {value.channels} come in")
    weights = weights_of(module, module.weight, module.bias)
    read, write = module.in_channels // module.groups, module.out_channels // module.groups
    segments, offset = [], 0
    for segment in value.segments:
        if segment.channels % read or offset % read:
            call.refuse(f"has groups of {read} channels that reach over a concatenation; concatenate behind it")
        groups, first = segment.channels // read, offset // read
        part = weights.cut(first * write, (first + groups) * write)
        segments.append(call.unit_conv(segment, groups * write, groups, part, settings))
        offset += segment.channels
    return after(value, tuple(segments), Layout.MAP, Extent())


@module_rule(nn.Linear)
def linear(call: Call, module: nn.Linear, input: Value) -> Value:
    """Read a linear layer on vectors, flattened maps or tokens."""
    value = call.need(input)
    _check_sizes(call, module)
    if value.layout is Layout.MAP or value.layout is Layout.ROWS:
        call.refuse(f"takes {module.in_features} features, but {value.channels} units come in; flatten first")
    positions = _positions(call, module, value)
    weights = weights_of(module, module.weight, module.bias)
    segment = call.dense("linear", value, module.out_features, weights, {}, positions)
    if value.layout in (Layout.TOKENS, Layout.LAST):
        return after(value, segment, value.layout, value.extent)
    return after(value, segment, Layout.VECTOR, Extent(1))


def _positions(call: Call, module: nn.Linear, value: Value) -> int:
    """Count the values of each channel that is read."""
    if reads_raw(value) or value.layout is not Layout.FLAT:
        _check_channels(call, value, module.in_features, "features")
        return 1
    positions, left = divmod(module.in_features, value.channels)
    if left or not positions or value.extent.count not in (None, positions):
        call.refuse(f"takes {module.in_features} features, but {value.channels} units come in; flatten first")
    value.extent.count = positions
    return positions


def _check_channels(call: Call, value: Value, wanted: int, what: str) -> None:
    """Check how many channels come in; the network's input takes what is left of them."""
    raw = sum(not segment.channels for segment in value.segments)
    left = wanted - value.channels
    if raw > 1 or (left < 1 if raw else left):
        call.refuse(
            f"takes {wanted} {what}, which its input does not give: {value.channels} come in as {value.layout.value}"
        )
    if raw:
        if call.tape.input_channels not in (None, left):
            call.refuse(f"reads {left} {what} of the network's input, and others read {call.tape.input_channels}")
        call.tape.input_channels = left


def _check_sizes(call: Call, module: nn.Conv2d | nn.Linear) -> None:
    if 0 in module.weight.shape:
        call.refuse(f"has weights of shape {tuple(module.weight.shape)}: no units, or none to read")


def _jsonable(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
