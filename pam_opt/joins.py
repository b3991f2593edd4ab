"""What has no weights of its own between units: sums, products, attention, layer norm over the units of the lattice."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Add(nn.Module):
    """Add signals of the same units."""

    def forward(self, signals: Sequence[Tensor]) -> Tensor:
        total = signals[0]
        for signal in signals[1:]:
            total = total + signal
        return total


class Subtract(nn.Module):
    """Subtract the second signal from the first."""

    def forward(self, signals: Sequence[Tensor]) -> Tensor:
        return signals[0] - signals[1]


class Multiply(nn.Module):
    """Multiply signals of the same units; (N, units, 1, 1) scales (N, units, H, W)."""

    def forward(self, signals: Sequence[Tensor]) -> Tensor:
        return signals[0] * signals[1]


class Attention(nn.Module):
    """Attend in every head by itself; a unit is a head.

    Parameters
    ----------
    size : channels of a head
    scale : of the product of queries and keys; None = 1 / sqrt(size)
    """

    def __init__(self, size: int, scale: float | None) -> None:
        super().__init__()
        self.size, self.scale = size, scale

    def forward(self, signals: Sequence[Tensor]) -> Tensor:
        """Take queries, keys and values, (N, tokens, heads * size), and return (N, tokens, heads * size)."""
        queries, keys, values = (signal.unflatten(-1, (-1, self.size)).transpose(1, 2) for signal in signals)
        return (
            functional.scaled_dot_product_attention(queries, keys, values, scale=self.scale).transpose(1, 2).flatten(2)
        )


class LatticeNorm(nn.Module):
    """Normalise the units of one group with mean and variance over all units that the group may read.

    Of a single network that is its own layer norm. The units lie on the last axis.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, signals: Sequence[Tensor]) -> Tensor:
        """Take the group's own units first, then those of the other groups that it may read."""
        own, readable = signals[0], torch.cat(list(signals), dim=-1) if len(signals) > 1 else signals[0]
        variance, mean = torch.var_mean(readable, dim=-1, keepdim=True, correction=0)
        return (own - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


def build(kind: str, settings: Mapping[str, Any], units: int, size: int) -> nn.Module:
    """Build the module of a layer kind without weights between units."""
    if kind == "attention":
        return Attention(size, settings.get("scale"))
    if kind == "layer_norm":
        return LatticeNorm(units * size, settings["eps"])
    return {"add": Add, "subtract": Subtract, "multiply": Multiply, "pass": nn.Identity}[kind]()
