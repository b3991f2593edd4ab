"""Network plans of two parents with the shapes of known nets and drawn losses.

Losses are convex, as those of optimal pairings are: each layer's curve sums sorted log-normal costs of its pairs.
"""

from dataclasses import dataclass

import numpy as np

from pam_opt_solvers import NetworkPlan

OUTPUTS = 10


@dataclass(frozen=True)
class Shape:
    """Hidden layers of a chain.

    Parameters
    ----------
    widths : (L,) units
    macs : (L + 1,) MACs per (input unit, output unit) of every layer and of the heads
    inputs : channels of the network's input
    """

    widths: tuple[int, ...]
    macs: tuple[int, ...]
    inputs: int


def _convolutions(sides: tuple[int, ...], area: int, *linear: int) -> tuple[int, ...]:
    return (*(area * side * side for side in sides), *linear)


LENET_5 = Shape((6, 16, 120, 84), _convolutions((28, 10), 25, 25, 1, 1), 1)
SMALL_VGG = Shape((32, 32, 64, 64, 128, 128, 256, 256), _convolutions((32, 32, 16, 16, 8, 8), 9, 16, 1, 1), 3)
VGG_16 = Shape(
    (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096, 4096),
    _convolutions((224, 224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14), 9, 49, 1, 1, 1),
    3,
)


@dataclass(frozen=True)
class Chain:
    """A plan that still needs its budget.

    Parameters
    ----------
    curves : of every layer (units + 1,) loss of sharing 0, 1, ... pairs
    edge_loss : (L + 1, 2) mean importance of an edge that the lattice cuts
    """

    shape: Shape
    curves: list[np.ndarray]
    edge_loss: np.ndarray

    @classmethod
    def draw(cls, shape: Shape, cut: float, rng: np.random.Generator) -> "Chain":
        """Draw the losses; `cut` is the importance of all cut edges relative to the loss of merging a whole layer."""
        curves = [_curve(rng, width) for width in shape.widths]
        edges = np.zeros((len(curves) + 1, 2))
        for layer in range(1, len(curves)):
            area = shape.widths[layer] * shape.widths[layer - 1]
            edges[layer] = cut * rng.random(2) * curves[layer][-1] / area
        return cls(shape, curves, edges)

    def within_loss(self, part: float) -> NetworkPlan:
        """Ask for the least MACs within a part of the loss of sharing everything."""
        return self._plan(loss_budget=part * sum(curve[-1] for curve in self.curves))

    def within_macs(self, part: float) -> NetworkPlan:
        """Ask for the least loss within MACs between everything shared (0) and nothing shared (1)."""
        plain, widths = self._plan(loss_budget=0.0), self.shape.widths
        most, least = plain.expected_macs([0] * len(widths)), plain.expected_macs(widths)
        return self._plan(macs_budget=least + part * (most - least))

    def _plan(self, **budget: float) -> NetworkPlan:
        shape, heads = self.shape, (OUTPUTS, OUTPUTS)
        widths = [(width, width) for width in shape.widths]
        return NetworkPlan.of_two_parents(
            widths, self.curves, shape.macs, shape.inputs, heads, edge_loss=self.edge_loss, **budget
        )


def _curve(rng: np.random.Generator, width: int) -> np.ndarray:
    costs = np.sort(rng.lognormal(size=width)) * rng.lognormal() / width
    return np.append(0.0, np.cumsum(costs))
