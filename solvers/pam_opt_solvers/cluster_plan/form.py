"""The cluster plan as a quadratic function of 0 and 1.

``value = constant + sum_c linear_c x_c + sum_(c, d) pairs_cd x_c (1 - x_d)`` over pairs c and the pairs d before them.
A shared pair reads every pair before it or cuts its edges: ``x_c x_d save + x_c (1 - x_d) loss`` is
``x_c save + x_c (1 - x_d) (loss - save)``.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pam_opt_solvers.problems.cluster_plan import ClusterPlan

Vector = NDArray[np.float64]

_SAME = 8 * float(np.finfo(np.float64).eps)
"""Losses that equal what they save but for rounding count as equal."""


@dataclass(frozen=True)
class Form:
    """The quadratic function.

    Parameters
    ----------
    constant : value of the plan that shares nothing
    linear : (n,) float64, of all layers' pairs laid end to end; +inf = must stay apart
    pairs : L - 1 arrays (C_l, C_{l-1}) float64; a minimum cut where none is negative. +inf = not shared without it
    """

    constant: float
    linear: Vector
    pairs: tuple[Vector, ...]

    @classmethod
    def of(cls, problem: "ClusterPlan") -> "Form":
        """Write a plan as a quadratic function."""
        sizes = np.array(problem.sizes, np.float64)
        reads = np.vstack([[problem.inputs] * 2, problem.singles + sizes[:, None]])[: len(sizes)]
        worth = problem.price * problem.macs[: len(sizes)]
        save = worth * problem.runs[2]
        before = np.append(problem.inputs, sizes)[: len(sizes)]
        change = save * before - worth * (reads @ problem.runs[:2])
        linear = [loss + added for loss, added in zip(problem.merge_loss, change, strict=True)]
        pairs = tuple(_difference(loss, saved) for loss, saved in zip(problem.edge_loss, save[1:], strict=True))
        constant = problem.price * problem.expected_macs(np.zeros(sum(problem.sizes), np.int64))
        return cls(constant, np.concatenate([np.zeros(0), *linear]), pairs)

    @property
    def least_of_each(self) -> float:
        """The constant and all negative coefficients: no value is lower."""
        negative = [np.minimum(x, 0.0).ravel() for x in (self.linear, *self.pairs)]
        return math.fsum(np.concatenate([[self.constant], *negative]))

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Vector]:
        """Return c, d and coefficient, each (e,), of all pairs of pairs whose coefficient is not 0."""
        starts = np.cumsum([0, *(pairs.shape[1] for pairs in self.pairs)])
        found = [np.nonzero(pairs) for pairs in self.pairs]
        after = [rows + start for (rows, _), start in zip(found, starts[1:], strict=True)]
        before = [columns + start for (_, columns), start in zip(found, starts, strict=False)]
        values = [pairs[index] for pairs, index in zip(self.pairs, found, strict=True)]
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *after]), np.concatenate([none, *before]), np.concatenate([np.zeros(0), *values])


def _difference(loss: Vector, saved: float) -> Vector:
    difference = loss - saved
    return np.where(np.abs(difference) <= _SAME * saved, 0.0, difference)
