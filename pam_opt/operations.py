"""Operations that act on every unit by itself: activation, pooling, flatten, dropout, batch norm, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

_KINDS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "relu": (nn.ReLU, ()),
    "relu6": (nn.ReLU6, ()),
    "leaky_relu": (nn.LeakyReLU, ("negative_slope",)),
    "elu": (nn.ELU, ("alpha",)),
    "gelu": (nn.GELU, ("approximate",)),
    "silu": (nn.SiLU, ()),
    "mish": (nn.Mish, ()),
    "hardswish": (nn.Hardswish, ()),
    "softplus": (nn.Softplus, ("beta", "threshold")),
    "tanh": (nn.Tanh, ()),
    "sigmoid": (nn.Sigmoid, ()),
    "max_pool2d": (nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    "avg_pool2d": (nn.AvgPool2d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d, ("output_size",)),
    "adaptive_max_pool2d": (nn.AdaptiveMaxPool2d, ("output_size",)),
    "flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "dropout": (nn.Dropout, ("p",)),
    "dropout2d": (nn.Dropout2d, ("p",)),
    "batch_norm1d": (nn.BatchNorm1d, ("eps", "momentum")),
    "batch_norm2d": (nn.BatchNorm2d, ("eps", "momentum")),
}
_KIND_OF = {module: kind for kind, (module, _) in _KINDS.items()}


@dataclass(frozen=True)
class Operation:
    """Describe one unit-wise operation without its parameters.

    Parameters
    ----------
    kind : a name such as ``relu``, ``max_pool2d``, ``batch_norm2d``
    settings : constructor arguments, JSON types only
    features : values per unit where the operation acts: 1, or H x W behind a flatten
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    features: int = 1

    @property
    def is_norm(self) -> bool:
        """Whether the operation is a batch norm, the only kind with parameters of its own."""
        return self.kind.startswith("batch_norm")

    def build(self, units: int) -> nn.Module:
        """Build the module for `units` units."""
        module, _ = _KINDS[self.kind]
        if self.is_norm:
            return module(units * self.features, **self.settings)
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
