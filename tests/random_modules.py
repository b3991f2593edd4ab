"""Random small modules from the pieces that tracing supports: branches, sums, products, concatenations, cuts, reuse."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from zoo import SqueezeExcite, conv, randomise_all_norms

IMAGE, FEATURES, TOKENS = (3, 8, 8), (7,), (5, 6)
MOST_CHANNELS = 12


class Sum(nn.Module):
    def forward(self, *signals: Tensor) -> Tensor:
        total = signals[0]
        for signal in signals[1:]:
            total = total + signal
        return total


class Difference(nn.Module):
    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        return one - two


class Gate(nn.Module):
    """Multiply by what a sigmoid makes of the second signal."""

    def forward(self, value: Tensor, gate: Tensor) -> Tensor:
        return value * torch.sigmoid(gate)


class Scale(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x + 0.25


class Split(nn.Module):
    """Cut channels into parts of given sizes, or into equal ones."""

    def __init__(self, sizes: list[int], axis: int) -> None:
        super().__init__()
        self.sizes, self.axis = sizes, axis

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if len(set(self.sizes)) == 1:
            return x.chunk(len(self.sizes), dim=self.axis)
        return torch.split(x, self.sizes, dim=self.axis)


class Concat(nn.Module):
    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *signals: Tensor) -> Tensor:
        return torch.cat(signals, dim=self.axis)


class Means(nn.Module):
    """Average over all positions."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=self.axes)


class SelfAttention(nn.Module):
    """Attend with separate queries, keys and values."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.queries, self.keys, self.values = (nn.Linear(width, heads * size) for _ in range(3))
        self.project = nn.Linear(heads * size, width)

    def forward(self, x: Tensor) -> Tensor:
        heads = [layer(x).unflatten(-1, (-1, self.size)) for layer in (self.queries, self.keys, self.values)]
        attended = functional.scaled_dot_product_attention(*(head.transpose(1, 2) for head in heads))
        return self.project(attended.transpose(1, 2).flatten(2))


class Step(NamedTuple):
    """Call a piece with the values that it reads; it writes one value or several."""

    piece: str
    reads: tuple[int, ...]
    writes: int


class RandomModule(nn.Module):
    """Run recorded steps one after the other; the last value is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = nn.ModuleDict()
        self.steps: list[Step] = []

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for step in self.steps:
            result = self.pieces[step.piece](*[values[index] for index in step.reads])
            values.extend([result] if step.writes == 1 else [result[part] for part in range(step.writes)])
        return values[-1]

    def __str__(self) -> str:
        """List the steps, to read a failure by."""
        value, lines = 1, []
        for step in self.steps:
            written = ", ".join(str(value + part) for part in range(step.writes))
            lines.append(f"{written} = {step.piece}{step.reads}  {self.pieces[step.piece]}")
            value += step.writes
        return "\n".join(lines)


@dataclass(frozen=True)
class Signal:
    """A value: its place among all, channels, and pixels of a map's side (0 for features, -1 for tokens)."""

    place: int
    channels: int
    side: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.channels, self.side

    @property
    def axis(self) -> int:
        return 1 if self.side >= 0 else -1


class Builder:
    """Add random pieces to a module; every method adds one, or none where it does not fit."""

    def __init__(self, seed: int, input_shape: tuple[int, ...]) -> None:
        self.draw = random.Random(seed)
        self.module = RandomModule()
        side = {3: input_shape[-1], 2: -1, 1: 0}[len(input_shape)]
        channels = input_shape[0] if side >= 0 else input_shape[-1]
        self.signals = [Signal(0, channels, side)]

    def add(self, module: nn.Module | str, reads: list[Signal], *writes: tuple[int, int]) -> list[Signal]:
        """Record a step; `writes` are (channels, side) of what it gives, a string names a piece to use again."""
        name = module if isinstance(module, str) else f"{type(module).__name__.lower()}{len(self.module.pieces)}"
        if not isinstance(module, str):
            self.module.pieces[name] = module
        self.module.steps.append(Step(name, tuple(signal.place for signal in reads), len(writes)))
        first = self.signals[-1].place + 1
        added = [Signal(first + part, *written) for part, written in enumerate(writes)]
        self.signals.extend(added)
        return added

    def any(self) -> Signal:
        """Choose a signal, a late one most often, and seldom the input, which little but layers may read."""
        known = self.signals if self.draw.random() < 0.05 else self.signals[1:] or self.signals
        return self.draw.choice(known[-4:] if self.draw.random() < 0.8 else known)

    def alike(self, signal: Signal) -> list[Signal]:
        """List the other signals of the same channels and positions, the input left out."""
        return [other for other in self.signals[1:] if other.shape == signal.shape and other.place != signal.place]

    def partner(self, signal: Signal) -> Signal:
        """Choose a signal that can be summed with this one, or write one."""
        known = self.alike(signal)
        if known and self.draw.random() < 0.6:
            return self.draw.choice(known)
        source = self.draw.choice([other for other in self.signals if other.side == signal.side])
        return self.dense(source, signal.channels)

    def dense(self, source: Signal, units: int) -> Signal:
        """Write new units that read all of a signal, at the same positions."""
        if source.side > 0:
            module: nn.Module = conv(source.channels, units, self.draw.choice([1, 3]))
        else:
            module = nn.Linear(source.channels, units, bias=self.draw.random() < 0.7)
        return self.add(module, [source], (units, source.side))[0]

    def layer(self) -> None:
        """Write new units, sometimes behind a stride and without batch norm."""
        source, units = self.any(), self.draw.randint(2, 6)
        stride = self.draw.choice([1, 1, 2]) if source.side >= 4 else 1
        if source.side <= 0 or self.draw.random() < 0.5:
            self.dense(source, units)
        else:
            plain = nn.Conv2d(source.channels, units, 3, stride, padding=1, bias=self.draw.random() < 0.5)
            self.add(plain, [source], (units, source.side // stride))
        self.activation()

    def unit_wise(self) -> None:
        """Convolve depthwise or in groups."""
        source = self.any()
        if source.side <= 0 or source.place == 0:
            return
        groups = self.draw.choice(
            [count for count in range(2, source.channels + 1) if not source.channels % count] or [1]
        )
        units = groups * self.draw.choice([1, 2, source.channels // groups])
        if units <= MOST_CHANNELS:
            self.add(conv(source.channels, units, 3, groups=groups), [source], (units, source.side))

    def activation(self) -> None:
        source = self.signals[-1]
        module = self.draw.choice([nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU, nn.ReLU6, nn.Identity, Scale])()
        self.add(module, [source], source.shape)

    def norm(self) -> None:
        source = self.any()
        if source.place == 0:
            return
        if source.side < 0:
            module: nn.Module = nn.LayerNorm(source.channels)
        elif source.side == 0:
            module = nn.BatchNorm1d(source.channels)
        else:
            groups = self.draw.choice([count for count in range(1, source.channels + 1) if not source.channels % count])
            group_norm, instance_norm = (
                nn.GroupNorm(groups, source.channels),
                nn.InstanceNorm2d(source.channels, affine=True),
            )
            one_value = source.side == 1
            module = nn.BatchNorm2d(source.channels)
            if not one_value and self.draw.random() < 0.4:
                module = self.draw.choice([group_norm, instance_norm])
        self.add(module, [source], source.shape)

    def pool(self) -> None:
        source = self.any()
        if source.side >= 4:
            module = self.draw.choice([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(source.side // 2)])
            self.add(module, [source], (source.channels, source.side // 2))

    def sum(self) -> None:
        source = self.any()
        others = [self.partner(source) for _ in range(self.draw.choice([1, 1, 2]))]
        self.add(Sum(), [source, *others], source.shape)
        if self.draw.random() < 0.5:
            self.activation()

    def difference(self) -> None:
        source = self.any()
        self.add(Difference(), [source, self.partner(source)], source.shape)

    def gate(self) -> None:
        source = self.any()
        self.add(Gate(), [source, self.partner(source)], source.shape)

    def squeeze(self) -> None:
        source = self.any()
        if source.side > 1:
            self.add(SqueezeExcite(source.channels, 3), [source], source.shape)

    def concat(self) -> None:
        source = self.any()
        same = [other for other in self.signals[1:] if other.side == source.side] or [source]
        chosen = [source, *(self.draw.choice(same) for _ in range(self.draw.choice([1, 1, 2])))]
        channels = sum(signal.channels for signal in chosen)
        if channels <= MOST_CHANNELS:
            self.add(Concat(source.axis), chosen, (channels, source.side))

    def split(self) -> None:
        source = self.any()
        if source.channels < 2 or source.place == 0:
            return
        first = source.channels // 2 if self.draw.random() < 0.5 else self.draw.randint(1, source.channels - 1)
        sizes = [first, source.channels - first]
        self.add(Split(sizes, source.axis), [source], *((size, source.side) for size in sizes))

    def again(self) -> None:
        """Use a piece a second time, on another signal of the same shape."""
        made = [
            (step, self.signals[step.reads[0]]) for step in self.module.steps if len(step.reads) == step.writes == 1
        ]
        fitting = [(step, other) for step, read in made for other in self.alike(read)]
        if fitting:
            step, other = self.draw.choice(fitting)
            written = next(signal for signal in self.signals if signal.place == self._written(step))
            self.add(step.piece, [other], written.shape)

    def _written(self, step: Step) -> int:
        return 1 + sum(before.writes for before in self.module.steps[: self.module.steps.index(step)])

    def attend(self) -> None:
        source = self.any()
        if source.side < 0:
            module = SelfAttention(source.channels, self.draw.choice([1, 2, 3]), self.draw.choice([2, 4]))
            self.add(module, [source], source.shape)

    def end(self, outputs: int) -> None:
        """Flatten or average the last signals, and put a head behind."""
        chosen = [self.signals[-1]] + ([self.any()] if self.draw.random() < 0.3 else [])
        vectors = [self.vector(signal) for signal in chosen]
        if len(vectors) > 1:
            vectors = self.add(Concat(1), vectors, (sum(signal.channels for signal in vectors), 0))
        if self.draw.random() < 0.3:
            vectors = [self.dense(vectors[0], 5)]
            self.activation()
            vectors = self.signals[-1:]
        self.add(nn.Linear(vectors[0].channels, outputs), vectors[:1], (outputs, 0))

    def vector(self, signal: Signal) -> Signal:
        """Turn a signal into features."""
        if signal.side == 0:
            return signal
        if signal.side < 0:
            return self.add(Means((1,)), [signal], (signal.channels, 0))[0]
        if self.draw.random() < 0.5:
            return self.add(Means((2, 3)), [signal], (signal.channels, 0))[0]
        side = self.draw.choice([1, 2]) if signal.side > 1 else 1
        if signal.side > 2:
            (signal,) = self.add(nn.AdaptiveMaxPool2d(side), [signal], (signal.channels, side))
        return self.add(nn.Flatten(), [signal], (signal.channels * signal.side**2, 0))[0]


PIECES: tuple[Callable[[Builder], None], ...] = (
    Builder.layer,
    Builder.layer,
    Builder.layer,
    Builder.sum,
    Builder.sum,
    Builder.concat,
    Builder.split,
    Builder.unit_wise,
    Builder.activation,
    Builder.norm,
    Builder.pool,
    Builder.difference,
    Builder.gate,
    Builder.squeeze,
    Builder.again,
    Builder.attend,
)


def random_module(seed: int, weights: int = 0, outputs: int = 3) -> tuple[RandomModule, tuple[int, ...]]:
    """Build a random module, and give the shape of one sample.

    Parameters
    ----------
    seed : decides the pieces
    weights : decides the weights: modules of the same seed can be merged
    """
    shape = random.Random(seed).choices([IMAGE, FEATURES, TOKENS], [8, 1, 2])[0]
    with torch.random.fork_rng():
        torch.manual_seed(1000 * seed + weights)
        builder = Builder(seed, shape)
        builder.layer()
        for _ in range(builder.draw.randint(2, 8)):
            builder.draw.choice(PIECES)(builder)
        builder.end(outputs)
        randomise_all_norms(builder.module)
    return builder.module.eval(), shape
