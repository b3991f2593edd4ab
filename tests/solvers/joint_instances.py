"""Small joint pairings of all shapes, and their optimum by enumeration."""

import itertools
import math

import numpy as np

from pam_opt_solvers import JointPairing, LayerPair

MOST_DECISIONS = 24
ONES = np.ones((2, 2))


def small(**changes):
    """Return the problem of the docstring, changed."""
    hidden = LayerPair(np.array([[1.0], [5.0]]), np.array([[5.0], [1.0]]), rows_space=0)
    head = LayerPair(np.array([[2.0, 3.0]]), np.array([[3.0, 2.0]]), columns_space=0)
    return JointPairing(**{"sizes": (2,), "layers": (hidden, head)} | changes)


FEASIBLE = {
    "swapped": (small(), 0.0),
    "swapped, at a price": (small(linear=(np.array([[0.5, 7.0], [0.25, 0.0]]),)), 7.25),
    "too dear to swap": (small(linear=(np.array([[0.5, 70.0], [0.25, 0.0]]),)), 34.5),
    "nothing": (JointPairing((), ()), 0.0),
    "no units": (JointPairing((0,), ()), 0.0),
    "no inputs": (JointPairing((3, 0), (LayerPair(np.ones((3, 0)), np.ones((3, 0)), 0, 1),)), 0.0),
    "one": (JointPairing((1,), (LayerPair(ONES[:1, :1], 2 * ONES[:1, :1], 0, 0),)), 1.0),
    "fixed": (JointPairing((), (LayerPair(ONES, 3 * ONES),)), 16.0),
    "no layers": (JointPairing((3,), ()), 0.0),
    "ties": (JointPairing((3, 3), (LayerPair(np.ones((3, 3)), np.zeros((3, 3)), 0, 1),)), 9.0),
    "all zero": (JointPairing((2, 2), (LayerPair(np.zeros((2, 2)), np.zeros((2, 2)), 0, 1),)), 0.0),
    "tiny": (JointPairing((2,), (), (1e-300 * np.array([[1.0, 2.0], [2.0, 1.0]]),)), 2e-300),
    "huge": (JointPairing((2,), (), (1e300 * np.array([[1.0, -1.0], [-1.0, 1.0]]),)), -2e300),
    "tiny weights": (JointPairing((2,), (LayerPair(1e-130 * np.eye(2), 1e-130 * np.eye(2)[::-1], 0),)), 0.0),
    "huge weights": (JointPairing((2,), (LayerPair(1e149 * np.eye(2), 1e149 * np.eye(2)[::-1], 0),)), 0.0),
}
"""Name to problem and optimal value; permutations always exist, so none is infeasible."""


def draw(kind, shape, rng):
    """Return weights: smooth, with many ties, or of very different magnitudes."""
    if kind == 0:
        return rng.standard_normal(shape)
    if kind == 1:
        return rng.integers(-2, 3, shape).astype(float)
    return rng.standard_normal(shape) * np.exp(6 * rng.standard_normal(shape))


def random_problem(seed):
    """Return one to three spaces of one to four units, any sides tied or fixed, kernels, linear costs."""
    rng = np.random.default_rng(seed)
    while True:
        sizes = tuple(rng.integers(1, 5, rng.integers(1, 4)).tolist())
        if math.prod(map(math.factorial, sizes)) <= MOST_DECISIONS:
            break
    kind, layers = rng.integers(3), []
    for _ in range(rng.integers(1, 4)):
        rows, columns = rng.integers(-1, len(sizes), 2).tolist()
        shape = (*(sizes[space] if space >= 0 else 2 for space in (rows, columns)), int(rng.integers(1, 3)))
        first = draw(kind, shape, rng)
        second = first.copy() if rng.random() < 0.2 else draw(kind, shape, rng)
        layers.append(LayerPair(first, second, rows, columns))
    linear = tuple(draw(kind, (n, n), rng) if rng.random() < 0.5 else None for n in sizes)
    return JointPairing(sizes, tuple(layers), linear)


def decisions(problem):
    """Yield every decision."""
    for parts in itertools.product(*(itertools.permutations(range(n)) for n in problem.sizes)):
        yield np.array(sum(parts, ()), np.int64)


def optimum(problem):
    """Return the least value."""
    return min(math.fsum(problem.terms(decision)) for decision in decisions(problem))


def chain(widths, noise, seed, area=1):
    """Return a chain with fixed ends and its planted decision."""
    last = len(widths) - 2
    spaces = [(index if index < last else -1, index - 1) for index in range(last + 1)]
    shapes = [(rows, columns, area) for columns, rows in itertools.pairwise(widths)]
    return planted(tuple(widths[1:-1]), shapes, spaces, noise, seed)


def stream(width, blocks, noise, seed):
    """Return a residual net with free ends and its planted decision."""
    spaces = [pair for block in range(1, blocks + 1) for pair in ((block, 0), (0, block))]
    return planted((width,) * (blocks + 1), [(width, width, 1)] * len(spaces), spaces, noise, seed)


def planted(sizes, shapes, spaces, noise, seed):
    """Return a problem whose second parent is a permuted and noisy copy of the first, and the permutations."""
    # Not the solver's own stream of random numbers: its first start would be the planted one.
    rng = np.random.default_rng([seed, 20_090])
    permutations, layers = [rng.permutation(n) for n in sizes], []
    for shape, sides in zip(shapes, spaces, strict=True):
        first = rng.standard_normal(shape)
        rows, columns = (np.arange(n) if s < 0 else permutations[s] for s, n in zip(sides, shape, strict=False))
        second = np.empty(shape)
        second[np.ix_(rows, columns)] = first + noise * rng.standard_normal(shape)
        layers.append(LayerPair(first, second, *sides))
    return JointPairing(sizes, tuple(layers)), np.concatenate(permutations)
