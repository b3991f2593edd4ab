"""Column subset: which units are kept so that all of them together explain the others by least squares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.checks import as_count, as_float64, as_mask, as_real, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.gram_spectrum import moment_tail, spectral_tails
from pam_opt_solvers.problems.problem import Problem
from pam_opt_solvers.problems.quota import Quota
from pam_opt_solvers.problems.scaled_gram import ScaledGram, scale_gram

LARGEST_SPECTRUM = 2048
"""Units up to which the trivial bound takes all eigenvalues: about a second."""


@dataclass(frozen=True, eq=False, repr=False)
class ColumnSubset(Problem):
    """Keep ``n_kept`` of n units so that least squares on all of them explains the rest best (column subset selection).

    A decision is the sorted indices of the kept units, (n_kept,) int64.

    Parameters
    ----------
    gram : (n, n) float64, symmetric positive semidefinite: covariances or inner products of the units' outputs, such
        as ``features.T @ features``. Entries of a pair may differ by rounding and are averaged; where rounding, as of
        float32, left the matrix slightly indefinite, its diagonal is raised by ``scaled.lift`` of itself. Kept without
        a copy where possible: do not change it
    n_kept : number of units to keep, 0..n
    weights : (n,) float64, finite, >= 0, price of a unit's residual variance, such as its Fisher importance; 1 if left
        out. A unit of weight 0 may be kept, and costs nothing if it is not
    ridge : float, finite, >= 0, in units of ``gram``: what ridge regression adds to the variance of every kept unit
    forbidden : (n,) bool, units that may not be kept
    quota : least and most kept units per class, such as the parent or the group

    Raises
    ------
    ProblemError
        for NaN, infinities, magnitudes above 1e300, wrong shapes, negative weights, a matrix that is not symmetric or
        not positive semidefinite, an impossible count

    Notes
    -----
    With S the kept units::

        value = sum_u weights_u (G_uu - G_uS (G_SS + ridge I)^+ G_Su)
              = sum_u weights_u min_a |x_u - X_S a|^2 + ridge |a|^2

    for any features with ``X'X = G``. Without a ridge kept units explain themselves and cost nothing; with one they
    cost at most ``ridge`` times their weight. Residual variances below 16 n eps of a unit's own count as zero, and a
    kept unit with such a residual given others (a second copy, a constant) explains nothing more. No linear
    formulation exists, so there is no integer programme. Greedy selection is that of [1], the spectral bound of [2].

    [1] A. K. Farahat et al., "Greedy column subset selection for large-scale data sets", 2013, arXiv:1312.6838.
    [2] C. Eckart and G. Young, "The approximation of one matrix by another of lower rank", 1936,
    doi:10.1007/BF02288367.

    Examples
    --------
    >>> import numpy as np
    >>> problem = ColumnSubset(np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]), n_kept=2)
    >>> round(problem.value([0, 2]), 6)
    0.19
    """

    kind: ClassVar[str] = "column_subset"
    asks: ClassVar[frozenset[Feature]] = frozenset({Feature.QUOTAS, Feature.FORBIDDEN})

    gram: NDArray[np.float64]
    n_kept: int
    weights: NDArray[np.float64] | None = None
    ridge: float = 0.0
    forbidden: NDArray[np.bool_] | None = None
    quota: Quota | None = None

    def __post_init__(self) -> None:
        self._set("gram", as_float64(self.gram, "gram", (None, None)))
        if self.gram.shape[0] != self.gram.shape[1]:
            raise ProblemError(f"gram has shape {self.gram.shape}; it must be square: every unit against every unit")
        extent(self.gram, "gram", allow_infinity=False)
        self._set("n_kept", as_count(self.n_kept, "n_kept", self.size))
        self._set("weights", _as_weights(self.weights, self.size))
        self._set("ridge", _as_ridge(self.ridge))
        if self.forbidden is not None:
            self._set("forbidden", as_mask(self.forbidden, "forbidden", self.size))
        if self.quota is not None:
            _check_quota(self.quota, self.size)
        _ = self.scaled  # validates the matrix

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        extras = ", ".join(sorted(feature.value for feature in self.features))
        return f"ColumnSubset({self.n_kept} of {self.size} units{', ' if extras else ''}{extras})"

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.gram)

    @cached_property
    def scaled(self) -> ScaledGram:
        """The numbers that solvers compute with: checked, symmetric and without units of measurement."""
        return scale_gram(self.gram, self._weights, self.ridge)

    @property
    def _weights(self) -> NDArray[np.float64]:
        assert self.weights is not None  # filled in by __post_init__
        return self.weights

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: units that may be kept."""
        return np.ones(self.size, bool) if self.forbidden is None else ~self.forbidden

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        present = {Feature.QUOTAS: self.quota is not None, Feature.FORBIDDEN: not self.allowed.all()}
        return frozenset(feature for feature, holds in present.items() if holds)

    @property
    def most_terms(self) -> int:
        """One for every unit."""
        return self.size

    def magnitudes(self) -> NDArray[np.float64]:
        """Return the ``(n,)`` values that the units' whole variances would cost."""
        return self._weights * self.gram.diagonal()

    def float_error(self, terms: int | None = None) -> float:
        """Return the worst float64 error of a value: twice the resolution for every unit, whatever ``terms``."""
        return float(self.scaled.unscaled(2 * self.scaled.resolution * self.scaled.total))

    def may_follow(self, kept: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the ``(n,)`` units that may be kept next so that a decision can still be completed."""
        units = self.allowed.copy()
        units[kept] = False
        if self.quota is not None:
            counts, (least, most) = self.quota.counts(kept), self.quota.limits
            lacking = np.maximum(least - counts, 0)
            classes = (counts < most) & ((lacking > 0) | (lacking.sum() < self.n_kept - len(kept)))
            units &= classes[self.quota.labels]
        return units

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (n_kept,) integers, the kept units in any order
        """
        try:
            array = np.asarray(decision if np.size(decision) else np.zeros(0, np.int64))
        except ValueError:
            return ("a decision must be a list of unit indices",)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            return (f"a decision must be ({self.n_kept},) integers, not {array.dtype} of shape {array.shape}",)
        outside = np.flatnonzero((array < 0) | (array >= self.size))
        if len(outside):
            return (f"unit {array[outside[0]]} lies outside 0..{self.size - 1}",)
        kept = array.astype(np.int64)
        return (*self._broken_units(kept), *(self.quota.violations(np.unique(kept)) if self.quota else ()))

    def _broken_units(self, kept: NDArray[np.int64]) -> list[str]:
        found = [] if len(kept) == self.n_kept else [f"{len(kept)} units kept instead of exactly {self.n_kept}"]
        units, counts = np.unique(kept, return_counts=True)
        found += [f"unit {units[counts > 1][0]} is kept more than once"] if (counts > 1).any() else []
        barred = kept[~self.allowed[kept]]
        return found + ([f"unit {barred[0]} may not be kept"] if len(barred) else [])

    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return the kept units sorted, int64."""
        return np.sort(np.array(decision, dtype=np.int64).reshape(-1))

    def terms(self, decision: Any) -> NDArray[np.float64]:
        """Return the weighted residual variance of every unit, (n,)."""
        kept = self.normalise(decision)
        return self.scaled.unscaled(self.scaled.importance * self.scaled.residuals(kept))

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return the number of kept units in words."""
        return f"{len(decision)} of {self.size} units kept"

    def trivial_bound(self) -> float:
        """Return the spectral lower bound, above 2048 units that of the spectrum's moments; +inf if infeasible."""
        return self._trivial_bound

    @cached_property
    def _trivial_bound(self) -> float:
        if self._obstacle:
            return math.inf
        if self.size <= LARGEST_SPECTRUM:
            return self.spectral_bound()
        return float(self.scaled.unscaled(moment_tail(self.scaled, self.n_kept)))

    def spectral_bound(self) -> float:
        """Return the sum of the n - n_kept smallest eigenvalues of the weighted Gram matrix: no subset is below."""
        return float(self.spectral_bounds[self.n_kept])

    @cached_property
    def spectral_bounds(self) -> NDArray[np.float64]:
        """``(n + 1,)``: the spectral bound for every number of kept units; 7 s for 4096 units on one core."""
        return self.scaled.unscaled(spectral_tails(self.scaled))

    @cached_property
    def _obstacle(self) -> str:
        """Why there is no decision; empty = there is one."""
        available = int(self.allowed.sum())
        if available < self.n_kept:
            return f"only {available} units may be kept, and {self.n_kept} must be; forbid fewer or keep fewer"
        if self.quota is None:
            return ""
        counts, (least, most) = self.quota.counts(self.allowed), self.quota.limits
        for c in np.flatnonzero(least > most):
            return f"{self.quota.name} class {c} must keep {least[c]} units and may keep {most[c]}"
        for c in np.flatnonzero(counts < least):
            return f"{self.quota.name} class {c} must keep {least[c]} units and has {counts[c]} that may be kept"
        if least.sum() > self.n_kept:
            needed = least.sum()
            return f"the {self.quota.name} classes must keep {needed} units in all, more than the {self.n_kept} to keep"
        together = np.minimum(counts, most).sum()
        if together < self.n_kept:
            return (
                f"the {self.quota.name} classes may keep {together} units in all, fewer than the {self.n_kept} to keep"
            )
        return ""

    def settled(self) -> Outcome | None:
        """Return the outcome where nothing is to decide: nothing kept, all kept, or shown to be impossible."""
        if self._obstacle:
            return Outcome(Status.INFEASIBLE, note=self._obstacle)
        if self.n_kept == 0:
            return Outcome(Status.OPTIMAL, np.zeros(0, np.int64), note="nothing to decide: no unit is kept")
        if self.n_kept == int(self.allowed.sum()):
            return Outcome(
                Status.OPTIMAL, np.flatnonzero(self.allowed), note="nothing to decide: all that may be are kept"
            )
        return None

    def certainly_feasible(self) -> bool:
        """Whether a decision exists; the counts alone tell."""
        return not self._obstacle

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays without objects."""
        found = {"gram": self.gram, "n_kept": np.array(self.n_kept), "weights": self._weights}
        found |= {"ridge": np.array(self.ridge)}
        if self.forbidden is not None:
            found |= {"forbidden": self.forbidden}
        if self.quota is not None:
            least, most = self.quota.limits
            found |= {"quota_labels": self.quota.labels, "quota_least": least, "quota_most": most}
            found |= {"quota_name": np.array(self.quota.name)}
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build a problem from named arrays; ``gram`` and ``n_kept`` will do."""
        quota = None
        if "quota_labels" in arrays:
            labels, least, most = (arrays[f"quota_{part}"] for part in ("labels", "least", "most"))
            quota = Quota(labels, least, most, str(arrays.get("quota_name", "quota")))
        count: Any = arrays["n_kept"][()]
        ridge: Any = arrays["ridge"][()] if "ridge" in arrays else 0.0
        return cls(arrays["gram"], count, arrays.get("weights"), ridge, arrays.get("forbidden"), quota)


def _as_weights(weights: Any, size: int) -> NDArray[np.float64]:
    array = as_float64(np.ones(size) if weights is None else weights, "weights", (size,))
    lowest, _ = extent(array, "weights", allow_infinity=False)
    if lowest < 0:
        unit = int(array.argmin())
        raise ProblemError(f"weights[{unit}] is {array[unit]}; importances must be at least 0")
    return array


def _as_ridge(ridge: Any) -> float:
    number = as_real(ridge, "ridge")
    if number < 0:
        raise ProblemError(f"ridge is {number:g}; it must be at least 0")
    return number


def _check_quota(quota: Any, size: int) -> None:
    if not isinstance(quota, Quota):
        raise ProblemError(f"quota must be a Quota(labels, least, most), not {quota!r}")
    if len(quota.labels) != size:
        raise ProblemError(f"{quota.name} labels {len(quota.labels)} units; there are {size}")
