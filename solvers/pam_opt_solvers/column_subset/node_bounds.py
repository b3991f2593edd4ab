"""Lower bounds of many branch-and-bound nodes at once, from two sides.

A node has included and excluded units, m more to keep out of its free units F, and the residual R given the included.

* No m-dimensional space spanned by free units explains more than the m largest eigenvalues of
  ``(R V R)_FF x = lambda (R_FF + ridge) x``: strong where few directions explain much.
* A free unit that is not kept costs at least its residual given *all other* free units, ``1 / K_uu - ridge_u`` with
  ``K = (R_FF + ridge)^-1``; the cheapest |F| - m such units are dropped. Strong where units have little in common.

Where the candidates depend on each other, K does not exist; then the first bound is taken over all directions, of R V R
without its denominator as in ``gram_spectrum``, and the second is left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.scaled_gram import ScaledGram

Stack = NDArray[np.float64]
States = NDArray[np.int8]

FREE, INCLUDED, EXCLUDED = np.int8(0), np.int8(1), np.int8(-1)

INDEPENDENT = 1e-6
"""Least eigenvalue of the candidates' scaled Gram matrix from which its inverses are taken."""


@dataclass(frozen=True)
class NodeBounds:
    """Bounds of nodes of one problem.

    Parameters
    ----------
    scaled : the problem's numbers
    least : least eigenvalue of the Gram matrix of the units that may be kept, with the ridge
    """

    scaled: ScaledGram
    least: float

    @classmethod
    def of(cls, scaled: ScaledGram, candidates: NDArray[np.bool_]) -> "NodeBounds":
        """Prepare bounds for nodes whose free and included units are among ``candidates``."""
        units = np.flatnonzero(candidates & (scaled.gram.diagonal() > 0))
        inner = scaled.gram[np.ix_(units, units)] + np.diag(scaled.ridge[units])
        return cls(scaled, float(np.linalg.eigvalsh(inner)[0]) if len(units) else 0.0)

    def residuals(self, states: States) -> Stack:
        """Return the ``(b, n, n)`` residual Gram matrices given the included units of ``(b, n)`` states."""
        scaled, nodes = self.scaled, np.arange(len(states))
        left = states == INCLUDED
        stack = np.repeat(scaled.gram[None], len(states), axis=0)
        floor = scaled.resolution * scaled.gram.diagonal()
        for _ in range(int(left.sum(axis=1).max(initial=0))):
            variances = np.where(left, np.diagonal(stack, axis1=1, axis2=2) - floor, -1.0)
            units = variances.argmax(axis=1)
            columns = stack[nodes, :, units]
            pivots = stack[nodes, units, units] + scaled.ridge[units]
            pivots[variances[nodes, units] <= 0] = np.inf  # what rounding left explains nothing
            left[nodes, units] = False
            stack -= columns[:, :, None] * (columns / pivots[:, None])[:, None, :]
        return stack

    def given(self, stack: Stack, units: NDArray[np.int64]) -> Stack:
        """Return the residuals when each node of ``stack`` also includes its live unit of ``units`` (b,)."""
        nodes = np.arange(len(stack))
        columns = stack[nodes, :, units]
        pivots = columns[nodes, units] + self.scaled.ridge[units]
        return stack - columns[:, :, None] * (columns / pivots[:, None])[:, None, :]

    def lower(self, stack: Stack, states: States, left: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return ``(b,)`` lower bounds, true up to ``resolution * total``.

        Parameters
        ----------
        stack : what ``residuals`` returned for ``states``
        left : (b,) number of units still to keep
        """
        if self.least < INDEPENDENT:
            return self._over_all_directions(stack, left)
        return self._over_free_units(stack, states == FREE, left)

    def _over_all_directions(self, stack: Stack, left: NDArray[np.int64]) -> NDArray[np.float64]:
        roots = np.sqrt(self.scaled.importance)
        eigenvalues = np.linalg.eigvalsh(stack * roots[:, None] * roots)
        positions = np.arange(eigenvalues.shape[1])
        return np.where(positions < eigenvalues.shape[1] - left[:, None], eigenvalues, 0.0).sum(axis=1)

    def _over_free_units(self, stack: Stack, free: NDArray[np.bool_], left: NDArray[np.int64]) -> NDArray[np.float64]:
        v, ridge, n = self.scaled.importance, self.scaled.ridge, len(self.scaled.gram)
        units, positions = np.arange(n), np.arange(n)
        variances = np.diagonal(stack, axis1=1, axis2=2)
        usable = free & (self.scaled.gram.diagonal() > 0)
        both = usable[:, :, None] & usable[:, None, :]
        inner = np.where(both, stack, 0.0)
        inner[:, units, units] += np.where(usable, ridge, 1.0)
        inverse_factor = np.linalg.inv(np.linalg.cholesky(inner))
        explained = inverse_factor @ np.where(usable[:, :, None], stack, 0.0)
        gains = np.linalg.eigvalsh((explained * v) @ explained.transpose(0, 2, 1))
        spectral = variances @ v - np.where(positions >= n - left[:, None], gains, 0.0).sum(axis=1)

        given_all = np.maximum(variances - np.einsum("bku,bku->bu", explained, explained), 0.0)
        given_others = 1 / np.einsum("bku,bku->bu", inverse_factor, inverse_factor) - ridge
        dearer = np.where(free, v * np.maximum(given_others - given_all, 0.0), np.inf)
        dropped = free.sum(axis=1) - left
        single = given_all @ v + np.where(positions < dropped[:, None], np.sort(dearer, axis=1), 0.0).sum(axis=1)
        return np.maximum(spectral, single * (1 - self.scaled.resolution / self.least))
