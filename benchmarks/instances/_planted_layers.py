"""Joint pairings with known permutations: the second parent is a permuted copy of the first, plus noise.

Chains have fixed inputs and outputs. In a residual net ``x + W2 relu(W1 x)``, again and again, one space (the
stream) covers the columns of every ``W1`` and the rows of every ``W2``, and every block has a hidden space of
its own. An embedding and a head tie the stream to fixed inputs and outputs, and where they weigh enough even
coordinate descent finds it. With free ends (a stage of a deeper net, seen by itself) no space is known before
the others, and coordinate descent finds about two in fifty.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers import FIXED, JointPairing, LayerPair


@dataclass(frozen=True)
class Planted:
    """A problem and the decision that was planted in it."""

    problem: JointPairing
    decision: NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """Shape and spaces of a layer to be drawn."""

    shape: tuple[int, int, int]
    rows_space: int = FIXED
    columns_space: int = FIXED


def planted_chain(widths: tuple[int, ...], noise: float, seed: int, *, area: int = 1) -> Planted:
    """Return a chain of layers from ``widths[0]`` fixed inputs to ``widths[-1]`` fixed outputs.

    Parameters
    ----------
    noise : standard deviation of the second parent's noise, in standard deviations of the weights
    area : kernel area of every layer
    """
    last = len(widths) - 2
    layers = [
        Layer((rows, columns, area), index if index < last else FIXED, index - 1)
        for index, (columns, rows) in enumerate(itertools.pairwise(widths))
    ]
    return _planted(widths[1:-1], layers, noise, seed)


def planted_residual(
    width: int, blocks: int, noise: float, seed: int, *, widening: int = 1, ends: tuple[int, int] = (0, 0)
) -> Planted:
    """Return a residual net; space 0 is its stream.

    Parameters
    ----------
    width : units of the stream
    widening : units of a hidden layer per unit of the stream
    ends : fixed inputs of an embedding and fixed outputs of a head; 0 = there is none
    """
    inner, layers = widening * width, []
    for hidden in range(1, blocks + 1):
        layers += [Layer((inner, width, 1), hidden, 0), Layer((width, inner, 1), 0, hidden)]
    inputs, outputs = ends
    layers += [Layer((width, inputs, 1), 0, FIXED)] * (inputs > 0) + [Layer((outputs, width, 1), FIXED, 0)] * (
        outputs > 0
    )
    return _planted((width, *[inner] * blocks), layers, noise, seed)


def _planted(sizes: tuple[int, ...], layers: list[Layer], noise: float, seed: int) -> Planted:
    # A stream of its own: a solver's first random permutations under the same seed must not be the planted ones.
    generator = np.random.default_rng([seed, 20_090])
    permutations = [generator.permutation(size) for size in sizes]
    pairs = tuple(_pair(layer, permutations, noise, generator) for layer in layers)
    problem = JointPairing(sizes, pairs)
    return Planted(problem, problem.join(permutations))


def _pair(
    layer: Layer, permutations: list[NDArray[np.int64]], noise: float, generator: np.random.Generator
) -> LayerPair:
    rows, columns, area = layer.shape
    first = generator.standard_normal(layer.shape) / np.sqrt(columns * area)
    copy = first + noise / np.sqrt(columns * area) * generator.standard_normal(layer.shape)
    second = np.empty_like(copy)
    to_rows = np.arange(rows) if layer.rows_space == FIXED else permutations[layer.rows_space]
    to_columns = np.arange(columns) if layer.columns_space == FIXED else permutations[layer.columns_space]
    second[np.ix_(to_rows, to_columns)] = copy
    return LayerPair(first, second, layer.rows_space, layer.columns_space)
