"""Information of a set of units about a label, from covariances: differences of log-determinants."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_array, as_counts, as_float64, as_real, extent
from pam_opt_solvers.problems.set_functions import Floats, Growth, Indices, SetFunction, Support

ROUNDING = 1e-9
"""Part of its own terms by which a support is lowered, so that rounding cannot make it cut off a valid set."""

DEFINITE = 1e-8
"""Part of the largest variance by which covariances may miss being semidefinite."""

LARGEST_RATIO = 1e7
"""Of a variance to the noise: above it, what float64 leaves of the differences is rounding."""

_ROOM = 64
"""Columns for which a growing set has room at first."""


@dataclass(frozen=True, eq=False, repr=False)
class GaussianInformation(SetFunction):
    """Mutual information of noisy Gaussian units with a label of Y classes, in nats; or summed over several labels.

    ``f(S) = 1/2 logdet(I + C_S / v) - 1/2 sum_y p_y logdet(I + C_S|y / v)``

    Monotone because, label by label, the overall covariance C is at least the mean of those within the classes: the
    residual variance of a unit given S is then at least the mean of its residual variances within the classes, and
    the logarithm is concave. With h(S) the entropy of S (up to a constant), f is a difference of two submodular
    functions, which gives modular lower bounds [1]: the first is at least its increments along any order of the
    units, the second at most its value at a set plus increments [2].

    Parameters
    ----------
    covariance : (n, n) float64, of all samples; (L, n, n), one for each label, where labels are of different samples
    class_covariances : (Y, n, n) float64, within each class
    probabilities : (Y,) float64, of the classes; at least 0, sum 1 for each label
    noise : variance v > 0 added to every unit
    variables : (Y,) int64, which label 0..L-1 each class is one of; default: all of one label

    Raises
    ------
    ProblemError
        for wrong shapes, NaN, asymmetry, no semidefinite matrices, an overall covariance below the mean of the classes

    References
    ----------
    .. [1] R. Iyer, J. Bilmes, "Algorithms for Approximate Minimization of the Difference Between Submodular
       Functions", UAI 2012, arXiv:1207.0560.
    .. [2] G. Nemhauser, L. Wolsey, M. Fisher, "An analysis of approximations for maximizing submodular set
       functions I", Mathematical Programming 14, 1978, doi:10.1007/BF01588971.

    Examples
    --------
    >>> import numpy as np
    >>> one_of_two = GaussianInformation(np.eye(2), np.stack([np.diag([0.0, 1.0])] * 2), np.array([0.5, 0.5]), 1.0)
    >>> round(one_of_two.value(np.array([0])), 4), round(one_of_two.value(np.array([1])), 4)
    (0.3466, 0.0)
    """

    kind: ClassVar[str] = "gaussian_information"
    rounding: ClassVar[float] = 1e-9

    covariance: Floats
    class_covariances: Floats
    probabilities: Floats
    noise: float = 0.1
    variables: Indices | None = None

    def __post_init__(self) -> None:
        given = as_array(self.covariance, "covariance")
        units = given.shape[-1] if given.ndim else 0
        shape = (None, units, units) if given.ndim == 3 else (units, units)
        self._set("covariance", as_float64(given, "covariance", shape))
        self._set("probabilities", as_float64(self.probabilities, "probabilities", (None,)))
        shape = (len(self.probabilities), units, units)
        self._set("class_covariances", as_float64(self.class_covariances, "class_covariances", shape))
        for name in ("covariance", "class_covariances", "probabilities"):
            extent(getattr(self, name), name, allow_infinity=False)
        self._set("noise", _variance(self.noise))
        self._set("variables", self._variables())
        self._check_probabilities()
        self._check_covariances()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"GaussianInformation({self.size} units, {len(self.probabilities)} classes)"

    @classmethod
    def of_samples(cls, values: ArrayLike, labels: ArrayLike, noise: float = 0.1) -> Self:
        """Estimate all covariances from samples, each divided by its own number of samples.

        Parameters
        ----------
        values : (B, n) float64, of every unit for every sample
        labels : (B, L) float64, class numbers; NaN = missing: the sample is left out for that label
        """
        units = as_float64(values, "values", (None, None))
        extent(units, "values", allow_infinity=False)
        codes = as_float64(labels, "labels", (len(units), None))
        overall, within, shares, variables = [], [], [], []
        for label, column in enumerate(codes.T):
            known = ~np.isnan(column)
            if not known.any():
                raise ProblemError(f"label {label} is missing for every sample; leave the label out")
            overall.append(_covariance(units[known]))
            for code in np.unique(column[known]):
                within.append(_covariance(units[column == code]))
                shares.append((column == code).sum() / known.sum())
                variables.append(label)
        same = not np.isnan(codes).any() and overall
        whole = overall[0] if same else np.array(overall).reshape(-1, units.shape[1], units.shape[1])
        inner = np.array(within).reshape(-1, units.shape[1], units.shape[1])
        return cls(whole, inner, np.array(shares), noise, np.array(variables, np.int64))

    def _variables(self) -> Indices:
        if self.variables is None:
            return np.zeros(len(self.probabilities), np.int64)
        given = as_counts(self.variables, "variables", (len(self.probabilities),))
        several = len(self.covariance) if self.covariance.ndim == 3 else int(given.max(initial=-1)) + 1
        if len(np.unique(given)) != several or given.max(initial=0) >= max(several, 1):
            raise ProblemError(f"variables must name every label 0..{several - 1} and no other, not {given.tolist()}")
        return given

    @cached_property
    def _overall(self) -> tuple[Floats, Floats]:
        """Overall covariances (A, n, n) and how many labels each stands for (A,)."""
        if self.covariance.ndim == 3:
            return self.covariance, np.ones(len(self.covariance))
        return self.covariance[None], np.array([self._label_of_class.max(initial=0) + 1.0])

    @property
    def _label_of_class(self) -> Indices:
        assert self.variables is not None
        return self.variables

    def _check_probabilities(self) -> None:
        sums = np.bincount(self._label_of_class, self.probabilities) if len(self.probabilities) else np.zeros(1)
        if (self.probabilities < 0).any() or (np.abs(sums - 1) > 1e-6).any():
            raise ProblemError(f"probabilities are {self.probabilities}; they must be at least 0 and sum to 1")

    def _check_covariances(self) -> None:
        for matrix in self._overall[0]:
            _check_definite(matrix, "covariance")
        for place, matrix in enumerate(self.class_covariances):
            _check_definite(matrix, f"class_covariances[{place}]")
        for label in np.unique(self._label_of_class):
            own = self._label_of_class == label
            within = np.tensordot(self.probabilities[own], self.class_covariances[own], axes=1)
            self._check_between(self._overall[0][label if self.covariance.ndim == 3 else 0], within)

    def _check_between(self, covariance: Floats, within: Floats) -> None:
        between, scale = covariance - within, float(covariance.diagonal().max(initial=0.0))
        if scale > LARGEST_RATIO * self.noise:
            raise ProblemError(
                f"noise is {self.noise:g} and the largest variance {scale:g}; raise the noise to at least "
                f"{scale / LARGEST_RATIO:g}, or scale the units to similar variances"
            )
        if not _is_definite(between, scale):
            raise ProblemError(
                "covariance is smaller than the mean of class_covariances in some direction, so more units could say "
                "less; estimate both from the same samples, each divided by its own number of samples"
            )

    @property
    def size(self) -> int:
        """Number of units."""
        return self.covariance.shape[-1]

    @cached_property
    def _matrices(self) -> Floats:
        """``(A + Y, n, n)``: identity plus covariance over noise, overall ones first."""
        stacked = np.concatenate([self._overall[0], self.class_covariances]) / self.noise
        stacked = (stacked + stacked.transpose(0, 2, 1)) / 2
        stacked[:, np.arange(self.size), np.arange(self.size)] += 1.0
        return stacked

    @cached_property
    def _signs(self) -> Floats:
        return np.concatenate([0.5 * self._overall[1], -0.5 * self.probabilities])

    @property
    def _classes(self) -> slice:
        """Where the classes are among the matrices."""
        return slice(len(self._overall[1]), None)

    @cached_property
    def _last_increments(self) -> Floats:
        """``(n,)``: what a unit adds to the classes' entropy after all others."""
        if not self.size:
            return np.zeros(0)
        inverse = np.linalg.inv(self._matrices[self._classes])
        return -0.5 * self.probabilities @ np.log(np.diagonal(inverse, axis1=1, axis2=2))

    def value(self, members: Indices) -> float:
        """Return the information of a set in nats."""
        if not len(members):
            return 0.0
        blocks = self._matrices[:, members[:, None], members]
        return max(0.0, float(self._signs @ np.linalg.slogdet(blocks)[1]))

    def added(self, members: Indices) -> Floats:
        """Return (n,) the information with each unit added, by conditional variances."""
        present, residual = self._entropies_and_residuals(members)
        values = self._signs @ (present[:, None] + np.log(residual))
        values[members] = self._signs @ present
        return np.maximum(values, 0.0)

    def removed(self, members: Indices) -> Floats:
        """Return (s,) the information with each member left out, from the inverse blocks."""
        if not len(members):
            return np.zeros(0)
        blocks = self._matrices[:, members[:, None], members]
        inner = np.log(np.diagonal(np.linalg.inv(blocks), axis1=1, axis2=2))
        return np.maximum(self._signs @ (np.linalg.slogdet(blocks)[1][:, None] + inner), 0.0)

    def pairs(self, members: Indices, candidates: Indices) -> Floats:
        """Return (c, c) the information with each two candidates added, by conditional covariances."""
        own = self._matrices[:, members[:, None], members]
        across = self._matrices[:, members[:, None], candidates]
        left = self._matrices[:, candidates[:, None], candidates] - across.transpose(0, 2, 1) @ np.linalg.solve(
            own, across
        )
        # Noise is independent: no variance and no determinant is below 1 in exact arithmetic.
        variances = np.maximum(np.diagonal(left, axis1=1, axis2=2), 1.0)
        both = np.maximum(variances[:, :, None] * variances[:, None, :] - left**2, 1.0)
        both[:, np.arange(len(candidates)), np.arange(len(candidates))] = variances
        present = self._signs @ np.linalg.slogdet(own)[1]
        return np.maximum(present + np.tensordot(self._signs, np.log(both), 1), 0.0)

    def idle(self) -> NDArray[np.bool_]:
        """Return (n,) the units without variance."""
        return np.asarray(self._overall[0].diagonal(axis1=1, axis2=2).max(axis=0, initial=0.0) <= 0)

    def grow(self) -> "_GaussianGrowth":
        """Return an empty set to be grown; a step costs the Cholesky column of the unit put in."""
        return _GaussianGrowth(self._matrices, self._signs)

    def supports(self, members: Indices, preference: Floats) -> tuple[Support, ...]:
        """Return two modular lower bounds that are tight at ``members``, for the two upper bounds of [2]."""
        present, residual = self._entropies_and_residuals(members)
        outside = np.ones(self.size, bool)
        outside[members] = False
        rest = np.flatnonzero(outside)
        order = [part[np.argsort(-preference[part], kind="stable")] for part in (members, rest)]
        first = self._increments(np.concatenate(order))
        weights = 0.5 * self.probabilities
        after_members = weights @ np.log(residual[self._classes])
        alone = weights @ np.log(np.diagonal(self._matrices[self._classes], axis1=1, axis2=2))
        entropy = float(weights @ present[self._classes])
        last_of_members = entropy - self._class_entropy_removed(members)
        upper = (
            _joined(rest, after_members, members, self._last_increments[members]),
            _joined(rest, alone, members, last_of_members),
        )
        return tuple(_support(first, slopes, entropy - float(slopes[members].sum())) for slopes in upper)

    def _class_entropy_removed(self, members: Indices) -> Floats:
        if not len(members):
            return np.zeros(0)
        blocks = self._matrices[self._classes, members[:, None], members]
        inner = np.log(np.diagonal(np.linalg.inv(blocks), axis1=1, axis2=2))
        return 0.5 * self.probabilities @ (np.linalg.slogdet(blocks)[1][:, None] + inner)

    def _increments(self, order: Indices) -> Floats:
        """Return (n,) what each unit adds to the overall entropy when units come in this order."""
        factors = np.linalg.cholesky(self._matrices[: len(self._overall[1]), order[:, None], order])
        increments = np.empty(self.size)
        increments[order] = self._overall[1] @ np.log(np.diagonal(factors, axis1=1, axis2=2))
        return increments

    def _entropies_and_residuals(self, members: Indices) -> tuple[Floats, Floats]:
        """Return (1 + Y,) log-determinants at a set and (1 + Y, n) what is left of each variance given the set."""
        logs, residuals = [], []
        for matrix in self._matrices:
            factor = np.linalg.cholesky(matrix[members[:, None], members])
            explained = solve_triangular(factor, matrix[members], lower=True, check_finite=False)
            residual = matrix.diagonal() - (explained**2).sum(axis=0)
            logs.append(2 * np.log(factor.diagonal()).sum())
            residuals.append(np.maximum(residual, 1.0))  # noise is independent: never below 1 in exact arithmetic
        return np.array(logs), np.array(residuals)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return its five parameters."""
        return {
            "covariance": self.covariance,
            "class_covariances": self.class_covariances,
            "probabilities": self.probabilities,
            "noise": np.array(self.noise),
            "variables": self._label_of_class,
        }


class _GaussianGrowth(Growth):
    """Conditional variances of all units given the set, updated by one Cholesky column a step."""

    def __init__(self, matrices: Floats, signs: Floats) -> None:
        self._matrices, self._signs = matrices, signs
        self._residual = np.diagonal(matrices, axis1=1, axis2=2).copy()
        self._columns = np.empty((len(matrices), _ROOM, matrices.shape[1]))
        self._members: list[int] = []
        self._value = 0.0

    def candidates(self) -> Floats:
        """Return (n,) the information after adding each unit; members keep the present value."""
        gains = self._signs @ np.log(self._residual)
        gains[self._members] = 0.0
        return np.maximum(self._value + gains, 0.0)

    def add(self, unit: int) -> None:
        """Put a unit in."""
        self._value += float(self._signs @ np.log(self._residual[:, unit]))
        known = self._columns[:, : len(self._members)]
        column = self._matrices[:, unit] - (known[:, None, :, unit] @ known)[:, 0]
        column /= np.sqrt(self._residual[:, unit, None])
        if len(self._members) == self._columns.shape[1]:
            self._columns = np.concatenate([self._columns, np.empty_like(self._columns)], axis=1)
        self._columns[:, len(self._members)] = column
        self._members.append(unit)
        self._residual = np.maximum(self._residual - column**2, 1.0)


def _joined(rest: Indices, outside: Floats, members: Indices, inside: Floats) -> Floats:
    joined = np.empty(len(outside))
    joined[rest], joined[members] = outside[rest], inside
    return joined


def _support(first: Floats, slopes: Floats, offset: float) -> Support:
    """Return ``first - slopes - offset`` with negative coefficients left out, which monotony permits."""
    size = float(np.abs(first).sum() + np.abs(slopes).sum()) + abs(offset)
    return Support(min(-offset - ROUNDING * size, 0.0), np.maximum(first - slopes, 0.0))


def _variance(value: Any) -> float:
    noise = as_real(value, "noise")
    if noise <= 0:
        raise ProblemError(f"noise is {noise:g}; it must be a variance above 0")
    return noise


def _is_definite(matrix: Floats, scale: float) -> bool:
    if not matrix.size:
        return True
    try:
        np.linalg.cholesky(matrix + (DEFINITE * scale + 1e-300) * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True


def _covariance(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    return centred.T @ centred / len(values)


def _check_definite(matrix: Floats, name: str) -> None:
    scale = float(np.abs(matrix).max(initial=0.0))
    if np.abs(matrix - matrix.T).max(initial=0.0) > 1e-6 * scale:
        raise ProblemError(f"{name} is not symmetric; pass a covariance matrix")
    if not _is_definite((matrix + matrix.T) / 2, scale):
        raise ProblemError(f"{name} has a negative eigenvalue; pass a covariance matrix")
