"""A joint pairing in the form that its heuristics climb: what each choice is worth, given all others.

Expanding the squares leaves a constant less twice a score to be maximised,
``sum_layers <A, P_rows B P_columns^T> - sum_s <C_s, P_s> / 2``. All is divided by
one power of two, so that no product leaves float64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.problems.layer_pair import FIXED, LayerPair

Matrix = NDArray[np.float64]
Permutation = NDArray[np.int64]

TOLERANCE = 1e-12
"""A gain below this part of the magnitudes summed is rounding, not gain."""


@dataclass(frozen=True)
class Side:
    """A layer seen from one of its movable sides.

    Parameters
    ----------
    space, other : of this side and of the other one, `FIXED` = not permuted
    first : (n, other units * area), the first parent's weights, one row per unit of this side
    second : (n, other units, area), the second parent's
    """

    space: int
    other: int
    first: Matrix
    second: Matrix

    def worth(self, other: Permutation | None) -> Matrix:
        """Return the (n, n) worth of pairing each two units, the other side's permutation given."""
        second = self.second if other is None else self.second[:, other]
        return self.first @ _flat(second).T

    def soft_worth(self, other: Matrix | None) -> Matrix:
        """Return the same for a doubly stochastic matrix, (units, units), on the other side."""
        if other is None:
            return self.worth(None)
        second = np.matmul(other, self.second)
        return self.first @ _flat(second).T


class Matching:
    """The layers of a joint pairing, arranged by the spaces they pull at.

    Parameters
    ----------
    problem : what to solve

    Attributes
    ----------
    sizes : units of every space
    sides : for every space, the layers seen from it
    linear : what pairing two units is worth by itself, minus half its cost
    scale : magnitudes summed in each space, the yardstick of its rounding
    """

    def __init__(self, problem: JointPairing) -> None:
        self.sizes = problem.sizes
        exponent = _exponent(problem)
        self.sides: list[list[Side]] = [[] for _ in self.sizes]
        for layer in problem.layers:
            for side in _sides(layer, exponent):
                self.sides[side.space].append(side)
        self.linear = [None if c is None else np.ldexp(c, -2 * exponent - 1) * -1.0 for c in problem.costs]
        self.scale = [self._magnitude(space) for space in range(len(self.sizes))]

    def _magnitude(self, space: int) -> float:
        linear = self.linear[space]
        total = 0.0 if linear is None else float(np.abs(linear).max(initial=0.0)) * len(linear)
        return total + sum(float(np.linalg.norm(s.first) * np.linalg.norm(s.second)) for s in self.sides[space])

    @property
    def quadratic(self) -> frozenset[int]:
        """Spaces on both sides of a layer."""
        return frozenset(side.space for sides in self.sides for side in sides if side.other == side.space)

    def start(self) -> list[Permutation]:
        """Return the identity of every space."""
        return [np.arange(size) for size in self.sizes]

    def worth(self, space: int, permutations: Sequence[Permutation | None]) -> Matrix:
        """Return the (n, n) worth of pairing each two units of a space, the others given; ``None`` = unknown, ignored.

        In a space on both sides of a layer it is the gradient, for its other choices are taken as given.
        """
        total = self._linear_worth(space)
        for side in self.sides[space]:
            if side.other == FIXED:
                total += side.worth(None)
            elif permutations[side.other] is not None:
                total += side.worth(permutations[side.other])
        return total

    def soft_worth(self, space: int, weights: Sequence[Matrix]) -> Matrix:
        """Return the gradient for doubly stochastic matrices (n, n), one per space."""
        total = self._linear_worth(space)
        for side in self.sides[space]:
            total += side.soft_worth(None if side.other == FIXED else weights[side.other])
        return total

    def curvature(self, directions: Sequence[Matrix]) -> float:
        """Return the second-order part of the score along one direction (n, n) per space."""
        total = 0.0
        for space, sides in enumerate(self.sides):
            for side in sides:
                if side.other != FIXED:
                    # Every such layer is seen from both of its sides.
                    total += 0.5 * float(np.vdot(side.soft_worth(directions[side.other]), directions[space]))
        return total

    def score_of(self, space: int, permutations: Sequence[Permutation]) -> float:
        """Return the part of the score that depends on one space."""
        chosen = np.arange(self.sizes[space]), permutations[space]
        total = float(self._linear_worth(space)[chosen].sum())
        for side in self.sides[space]:
            share = 0.5 if side.other == space else 1.0
            other = None if side.other == FIXED else permutations[side.other]
            total += share * float(side.worth(other)[chosen].sum())
        return total

    def _linear_worth(self, space: int) -> Matrix:
        linear = self.linear[space]
        return np.zeros((self.sizes[space], self.sizes[space])) if linear is None else linear.copy()


def best_assignment(worth: Matrix) -> Permutation:
    """Return the permutation of greatest total worth."""
    return matched(-worth)[1]


def _sides(layer: LayerPair, exponent: int) -> Iterator[Side]:
    first, second = (np.ldexp(weights, -exponent) for weights in (layer.first, layer.second))
    if layer.rows_space != FIXED:
        yield Side(layer.rows_space, layer.columns_space, _flat(first), second)
    if layer.columns_space != FIXED:
        first, second = (np.ascontiguousarray(weights.transpose(1, 0, 2)) for weights in (first, second))
        yield Side(layer.columns_space, layer.rows_space, _flat(first), second)


def _flat(weights: Matrix) -> Matrix:
    units, others, area = weights.shape
    return weights.reshape(units, others * area)


def _exponent(problem: JointPairing) -> int:
    """Return the exponent that brings the largest weight, or else the largest cost's root, to about 1."""
    weights = [w for layer in problem.layers if layer.movable for w in (layer.first, layer.second)]
    top = max((float(np.abs(w).max(initial=0.0)) for w in weights), default=0.0)
    cost = max((float(np.abs(c).max(initial=0.0)) for c in problem.costs if c is not None), default=0.0)
    return int(np.frexp(max(top, np.sqrt(cost)))[1])
