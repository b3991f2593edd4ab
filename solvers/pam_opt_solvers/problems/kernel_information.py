"""Information of a set of units about labels, from samples: the pairwise kernel estimate that PAM uses."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_array, as_float64, as_real, extent
from pam_opt_solvers.problems.set_functions import Floats, Growth, Indices, SetFunction

NOTHING = 1e-30
"""Kernel values below it count as 0; every sum of them holds a 1."""

MOST_CLASSES = 10**6
"""Largest class number."""


@dataclass(frozen=True, eq=False, repr=False)
class KernelInformation(SetFunction):
    """Information of noisy units with labels by the pairwise estimate of Kolchinsky and Tracey, in nats.

    ``f(S) = sum over labels l of H(Y_l) + mean_i log(own_il / all_i)``, with the kernels
    ``k_ij = exp(-|s_i - s_j|^2 / (2 v))`` of the vectors s of S, ``all_i = sum_j k_ij``, and ``own_il`` the sum over
    the samples j of the own class of i. It is the difference ``h(S) - sum_y p_y h(S | y)`` of pairwise upper bounds [1]
    on the entropies of Gaussian mixtures, as PAM [2] computes it: constants cancel.

    True information never falls when units are added. The estimate may (``monotone = False``), by little and seldom
    on real layers, so a budget on it is proved for sets that keep it in every part; see `set_functions`.

    Parameters
    ----------
    values : (B, n) float64, of every unit for every sample; or (B, n, P) for P positions a unit
    labels : (B, L) float64, class numbers such as 0 and 1; NaN = missing: the sample is left out for that label
    noise : variance v > 0 added to every unit

    Raises
    ------
    ProblemError
        for wrong shapes, no samples, NaN or infinite values, labels that are no class numbers, or all missing

    References
    ----------
    .. [1] A. Kolchinsky, B. Tracey, "Estimating Mixture Entropy with Pairwise Distances", Entropy 19, 2017,
       doi:10.3390/e19070361.
    .. [2] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, "Pruning-Aware Merging for Efficient Multitask Inference",
       KDD 2021, arXiv:1905.09676.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([[0.0, 1.0], [0.0, 1.0], [9.0, 1.0], [9.0, 1.0]])
    >>> first_tells = KernelInformation(values, np.array([[0], [0], [1], [1]]))
    >>> round(first_tells.value(np.array([0])), 4), first_tells.value(np.array([1]))
    (0.6931, 0.0)
    """

    kind: ClassVar[str] = "kernel_information"
    rounding: ClassVar[float] = 1e-9
    monotone: ClassVar[bool] = False

    values: Floats
    labels: Floats
    noise: float = 0.1

    def __post_init__(self) -> None:
        given = as_array(self.values, "values")
        self._set("values", as_float64(given, "values", (None, None) if given.ndim == 2 else (None, None, None)))
        extent(self.values, "values", allow_infinity=False)
        self._set("labels", as_float64(self.labels, "labels", (len(self.values), None)))
        self._set("noise", as_real(self.noise, "noise"))
        if self.noise <= 0:
            raise ProblemError(f"noise is {self.noise:g}; it is a variance and must be above 0")
        given = self.labels[~np.isnan(self.labels)]
        if (given != np.rint(given)).any() or not (np.abs(given) <= MOST_CLASSES).all():
            raise ProblemError("labels must hold class numbers such as 0 and 1, or NaN where one is missing")
        empty = np.isnan(self.labels).all(axis=0)
        if empty.any():
            raise ProblemError(f"label {int(empty.argmax())} is missing for every sample; leave the label out")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"KernelInformation({self.size} units, {len(self.values)} samples, {self.labels.shape[1]} labels)"

    @property
    def size(self) -> int:
        """Number of units."""
        return self.values.shape[1]

    @cached_property
    def _classes(self) -> "_Classes":
        return _Classes.of(self.labels)

    @cached_property
    def _kernels(self) -> Floats:
        """``(n, B, B)``: the kernel of every unit alone, samples in the order of `_Classes`."""
        ordered = np.moveaxis(self.values[self._classes.order], 1, 0).reshape(self.size, len(self.values), -1)
        kernels = np.empty((self.size, len(self.values), len(self.values)))
        for unit, own in enumerate(ordered):
            kernels[unit] = np.square(own[:, None, :] - own[None, :, :]).sum(axis=2)
        return _without_dust(np.exp(kernels / (-2.0 * self.noise), out=kernels))

    def _kernel(self, members: Indices) -> Floats:
        """Return (B, B) the kernel of a set: the product of those of its units."""
        return _without_dust(self._kernels[members].prod(axis=0))

    def _after(self, kernel: Floats, candidates: Indices) -> Floats:
        """Return (c,) the information with each candidate added to a set of this kernel."""
        sums = np.empty((len(candidates), len(kernel), len(self._classes.starts)))
        product = np.empty_like(kernel)  # one at a time stays in the processor's cache
        for place, unit in enumerate(candidates):
            np.matmul(np.multiply(kernel, self._kernels[unit], out=product), self._classes.of_kind, out=sums[place])
        return self._classes.information(sums)

    def _present(self, kernel: Floats) -> float:
        """Return the information of a set of this kernel."""
        return float(self._classes.information((kernel @ self._classes.of_kind)[None])[0])

    def value(self, members: Indices) -> float:
        """Return the information of a set in nats."""
        return self._present(self._kernel(members)) if len(members) else 0.0

    def added(self, members: Indices) -> Floats:
        """Return (n,) the information with each unit added: one product of kernels each."""
        kernel = self._kernel(members)
        values = self._after(kernel, np.arange(self.size))
        values[members] = self._present(kernel)
        return values

    def pairs(self, members: Indices, candidates: Indices) -> Floats:
        """Return (c, c) the information with each two candidates added; on the diagonal with each one alone."""
        kernel = self._kernel(members)
        values = np.diag(self._after(kernel, candidates))
        for place, unit in enumerate(candidates[:-1]):
            row = self._after(_without_dust(kernel * self._kernels[unit]), candidates[place + 1 :])
            values[place, place + 1 :] = values[place + 1 :, place] = row
        return values

    def idle(self) -> NDArray[np.bool_]:
        """Return (n,) the units that are the same for all samples."""
        return (self.values == self.values[:1]).reshape(len(self.values), self.size, -1).all(axis=(0, 2))

    def grow(self) -> "_KernelGrowth":
        """Return an empty set to be grown; a step is one product of kernels a candidate."""
        return _KernelGrowth(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return its three parameters."""
        return {"values": self.values, "labels": self.labels, "noise": np.array(self.noise)}


class _KernelGrowth(Growth):
    """The kernel of the present set."""

    def __init__(self, function: KernelInformation) -> None:
        super().__init__(function)
        self._information = function
        self._kernel = function._kernel(np.zeros(0, np.int64))  # its own half, in this file

    def candidates(self) -> Floats:
        """Return (n,) the information after adding each unit; members keep the present value."""
        values = self._information._after(self._kernel, np.arange(self._information.size))
        values[self._members] = self._information._present(self._kernel)
        return values

    def add(self, unit: int) -> None:
        """Put a unit in."""
        super().add(unit)
        self._kernel = _without_dust(self._kernel * self._information._kernels[unit])


@dataclass(frozen=True, eq=False)
class _Classes:
    """Samples that agree in all labels, side by side, so that sums of kernels over classes are sums over few kinds.

    Parameters
    ----------
    order : (B,) samples, those that agree side by side
    starts : (Q,) where each of the Q kinds of samples begins
    of_kind : (B, Q) 0 or 1, whether a sample in this order is of the kind
    known : (Q, L) 0 or 1, whether the kind has the label
    alike : (Q, Q, L) 0 or 1, whether two kinds have the label and agree in it
    shares : (Q, L) 1 / samples that have the label; 0 where the kind lacks it
    entropy : sum over labels of H(Y_l)
    """

    order: Indices
    starts: Indices
    of_kind: Floats
    known: Floats
    alike: Floats
    shares: Floats
    entropy: float

    @classmethod
    def of(cls, labels: Floats) -> "_Classes":
        """Sort samples by their labels (B, L), NaN = missing."""
        codes = np.where(np.isnan(labels), np.inf, labels)
        kinds, kind, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(kind.ravel(), kind="stable")
        of_kind = np.eye(len(kinds))[kind.ravel()[order]]
        known = (kinds < np.inf).astype(float)
        alike = (kinds[:, None] == kinds[None]) * known
        shares = known * counts[:, None] / (counts @ known)
        own_class = np.einsum("pql,ql->pl", alike, shares)
        entropy = -float((shares * np.log(np.where(known > 0, own_class, 1.0))).sum())
        return cls(order, np.cumsum(counts) - counts, of_kind, known, alike, shares / counts[:, None], entropy)

    def information(self, sums: Floats) -> Floats:
        """Return (c,) the information where (c, B, Q) sums of kernels over the samples of every kind are known."""
        whole, own = sums @ self.known, np.empty((*sums.shape[:2], self.known.shape[1]))
        ends = [*self.starts[1:], sums.shape[1]]
        for kind, (start, end) in enumerate(zip(self.starts, ends, strict=True)):
            own[:, start:end] = sums[:, start:end] @ self.alike[kind]
        weights = self.of_kind @ self.shares
        missing = weights == 0
        parts = np.where(missing, 1.0, own) / np.where(missing, 1.0, whole)
        return np.maximum(self.entropy + (weights * np.log(parts)).sum(axis=(1, 2)), 0.0)


def _without_dust(kernels: Floats) -> Floats:
    """Return kernels with 0 for what is below ``NOTHING``: numbers near the end of float64 are slow."""
    kernels[kernels < NOTHING] = 0.0
    return kernels
