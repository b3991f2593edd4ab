"""Spectral lower bounds of column subset selection: no p units explain more than the p leading eigenvectors.

With ``H = W^1/2 G W^1/2`` the value of any p kept units is the squared distance of the weighted units from a
p-dimensional space, and that of the best space is the sum of the n - p smallest eigenvalues of H (Eckart, Young).
Units of weight 0 and forbidden units change nothing of that, and a ridge only adds to the value.
"""

import math

import numpy as np

from pam_opt_solvers.problems.scaled_gram import Matrix, ScaledGram, Vector


def weighted_gram(scaled: ScaledGram) -> Matrix:
    """Return ``(n, n)`` H, in scaled units."""
    roots = np.sqrt(scaled.importance)
    weighted = scaled.gram * roots[:, None]
    weighted *= roots
    return weighted


def spectral_tails(scaled: ScaledGram) -> Vector:
    """Return ``(n + 1,)``: for every p a lower bound on the value of p kept units, in scaled units.

    The eigenvalues are off by no more than ``resolution`` times the trace together, which is subtracted.
    """
    eigenvalues = np.linalg.eigvalsh(weighted_gram(scaled))
    tails = np.concatenate([[0.0], np.cumsum(eigenvalues)])[::-1]
    return np.maximum(tails - scaled.resolution * scaled.total, 0.0)


def moment_tail(scaled: ScaledGram, kept: int) -> float:
    """Return a lower bound on the value of ``kept`` units from trace and norm of H alone: one pass.

    The p largest of n numbers with mean m and variance s^2 sum to ``p m + s sqrt(p (n - p))`` at most [1]_.

    References
    ----------
    .. [1] H. Wolkowicz, G. P. H. Styan, Bounds for eigenvalues using traces, 1980, doi:10.1016/0024-3795(80)90258-X.
    """
    n, trace = len(scaled.gram), scaled.total
    if n == 0:
        return 0.0
    squares = np.einsum("uj,uj,u->j", scaled.gram, scaled.gram, scaled.importance)
    second, first = math.fsum(squares * scaled.importance) / n, (trace / n) ** 2
    variance = max(0.0, second - first) + scaled.resolution * second  # what cancels must not be lost
    largest = kept * trace / n + math.sqrt(variance * kept * (n - kept))
    return max(0.0, trace - largest - scaled.resolution * trace)
