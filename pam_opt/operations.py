"""Operations that act on every unit by itself: activation, pooling, flatten, dropout, norms, as plain data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pam_opt import unit_modules

_KINDS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "relu": (nn.ReLU, ()),
    "relu6": (nn.ReLU6, ()),
    "leaky_relu": (nn.LeakyReLU, ("negative_slope",)),
    "elu": (nn.ELU, ("alpha",)),
    "gelu": (nn.GELU, ("approximate",)),
    "silu": (nn.SiLU, ()),
    "mish": (nn.Mish, ()),
    "hardswish": (nn.Hardswish, ()),
    "hardsigmoid": (nn.Hardsigmoid, ()),
    "softplus": (nn.Softplus, ("beta", "threshold")),
    "tanh": (nn.Tanh, ()),
    "sigmoid": (nn.Sigmoid, ()),
    "max_pool2d": (nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    "avg_pool2d": (nn.AvgPool2d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d, ("output_size",)),
    "adaptive_max_pool2d": (nn.AdaptiveMaxPool2d, ("output_size",)),
    "avg_pool_width": (unit_modules.AvgPoolWidth, ()),
    "zero_pad2d": (nn.ZeroPad2d, ("padding",)),
    "upsample": (nn.Upsample, ("size", "scale_factor", "mode", "align_corners")),
    "affine": (unit_modules.Affine, ("factor", "offset")),
    "to_map": (unit_modules.ToMap, ()),
    "unsqueeze": (unit_modules.Unsqueeze, ()),
    "mean_rows": (unit_modules.MeanRows, ()),
    "mean_tokens": (unit_modules.MeanTokens, ()),
    "swap_rows": (unit_modules.SwapRows, ()),
    "channels_last": (unit_modules.ChannelsLast, ()),
    "channels_first": (unit_modules.ChannelsFirst, ()),
    "one_token": (unit_modules.OneToken, ("index",)),
    "softmax": (nn.Softmax, ("dim",)),
    "log_softmax": (nn.LogSoftmax, ("dim",)),
    "local_response_norm": (nn.LocalResponseNorm, ("size", "alpha", "beta", "k")),
    "channel_shuffle": (unit_modules.ChannelShuffle, ("groups",)),
    "flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "dropout": (nn.Dropout, ("p",)),
    "dropout2d": (nn.Dropout2d, ("p",)),
    "batch_norm1d": (nn.BatchNorm1d, ("eps", "momentum")),
    "batch_norm2d": (nn.BatchNorm2d, ("eps", "momentum")),
    "group_norm": (nn.GroupNorm, ("eps", "affine", "channels")),
    "prelu": (nn.PReLU, ()),
    "scale": (unit_modules.Scale, ("positions", "last")),
    "shift": (unit_modules.Shift, ("positions", "last")),
    "prepend_tokens": (unit_modules.PrependTokens, ("count",)),
}
_KIND_OF = {module: kind for kind, (module, _) in _KINDS.items()}
_FIXED_ORDER = frozenset({"softmax", "log_softmax", "local_response_norm", "channel_shuffle"})
"""Kinds that mix units in a fixed order: only layers that are kept have them."""
_STATEFUL: dict[str, Callable[[int, Mapping[str, Any]], nn.Module]] = {
    "batch_norm1d": lambda values, settings: nn.BatchNorm1d(values, **settings),
    "batch_norm2d": lambda values, settings: nn.BatchNorm2d(values, **settings),
    "group_norm": lambda values, settings: nn.GroupNorm(
        values // settings["channels"], values, settings["eps"], settings["affine"]
    ),
    "prelu": lambda values, settings: nn.PReLU(values),
    "scale": lambda values, settings: unit_modules.Scale(values, settings["positions"], settings["last"]),
    "shift": lambda values, settings: unit_modules.Shift(values, settings["positions"], settings["last"]),
    "prepend_tokens": lambda values, settings: unit_modules.PrependTokens(values, settings["count"]),
}
"""Kinds whose module depends on the number of values, units x features: how to build it.

Their parameters and buffers are flat, unit after unit, or scalars, so that rows can be cut and joined."""


@dataclass(frozen=True)
class Operation:
    """Describe one operation that keeps units apart, without its parameters.

    A few kinds mix the units in a fixed order (a softmax); layers with these are kept, so that all units are there.

    Parameters
    ----------
    kind : a name such as ``relu``, ``max_pool2d``, ``batch_norm2d``
    settings : constructor arguments, JSON types only
    features : values per unit where the operation acts: 1, the unit's channels, times H x W behind a flatten
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    features: int = 1

    @property
    def is_norm(self) -> bool:
        """Whether the operation is a batch norm: an affine map of every unit, with running statistics."""
        return self.kind.startswith("batch_norm")

    def build(self, units: int) -> nn.Module:
        """Build the module for `units` units."""
        if self.kind in _STATEFUL:
            return _STATEFUL[self.kind](units * self.features, self.settings)
        module, _ = _KINDS[self.kind]
        return module(**self.settings)

    def to_json(self) -> dict[str, Any]:
        """Return the operation as JSON types; `from_json` reads it back."""
        return {"kind": self.kind, "settings": dict(self.settings), "features": self.features}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Operation":
        """Read what `to_json` wrote; a ``KeyError`` or ``ValueError`` means that it did not."""
        kind, settings, features = data["kind"], data["settings"], data["features"]
        if kind not in _KINDS or not set(settings) <= set(_KINDS[kind][1]):
            raise ValueError(f"unknown operation {kind!r} with settings {sorted(settings)}")
        return cls(kind, dict(settings), int(features))


def unit_wise_modules() -> tuple[type[nn.Module], ...]:
    """List the module types that are an operation without parameters, on every unit by itself."""
    return tuple(module for kind, (module, _) in _KINDS.items() if kind not in {*_STATEFUL, *_FIXED_ORDER, "flatten"})


def describe(module: nn.Module, features: int = 1) -> Operation | None:
    """Describe a module as an `Operation`; None if it is not one of the known unit-wise kinds."""
    kind = _KIND_OF.get(type(module))
    if kind is None:
        return None
    _, names = _KINDS[kind]
    settings = {name: _plain(getattr(module, name)) for name in names}
    return Operation(kind, settings, features)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
