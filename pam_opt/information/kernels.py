"""Information from products of kernels, one per unit: what `kde` and `binned` have in common."""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar, Self

import torch

from pam_opt.information.estimator import Estimator, Growth, with_positions
from pam_opt.information.ratios import LogRatios
from pam_opt.information.variables import label_variables

CACHE_BYTES = 2**30
"""Memory for the kernels of all units; where they do not fit, they are computed anew at every use."""

CHUNK_BYTES = 2**21
"""Memory for the kernels that are worked on at a time."""

NEGLIGIBLE = 1e-18
"""Kernels below count as zero: beside sums of at least 1 they are nothing, and their products would be denormal."""


class KernelEstimator(Estimator):
    """Estimator whose kernel of a set of units is the product of the units' kernels between samples.

    Adding a unit costs O(B^2) a candidate, whatever the size of the set. Units that cannot be told apart are computed
    once. ``cache_bytes`` bounds the memory for the units' kernels, 4 B^2 bytes each.
    """

    def __init__(
        self, values: torch.Tensor, labels: torch.Tensor, noise: float = 0.1, cache_bytes: int = CACHE_BYTES
    ) -> None:
        super().__init__(values, labels, noise)
        features = self._features(with_positions(values)).transpose(0, 1)
        constant = (features == features[:, :1]).flatten(1).all(dim=1)
        features = features.masked_fill(constant[:, None, None], 0.0)
        distinct, self.distinct = torch.unique(features, dim=0, return_inverse=True)
        self.kernels = UnitKernels(distinct, self._log_kernels, cache_bytes)
        self.ratios = LogRatios(self._labels, self.samples, self._device)

    def for_labels(self, labels: torch.Tensor) -> Self:
        """Return the estimator of the same units for another task; the kernels are shared."""
        other = copy.copy(self)
        other._labels = label_variables(labels.to(self._device), self.samples)
        other.ratios = LogRatios(other._labels, self.samples, self._device)
        return other

    def information(self, members: Sequence[int]) -> float:
        """Return the joint information of a set of units with the task, in nats."""
        total = torch.zeros(self.samples, self.samples, dtype=torch.float64, device=self._device)
        for _, logs in self.kernels.precise(self.distinct[torch.as_tensor(members, dtype=torch.long)]):
            total += logs.sum(dim=0)
        return float(self.ratios.information(total.exp()[None], self.ratios.masks))

    def grow(self) -> "KernelGrowth":
        """Return an empty set to be grown."""
        return KernelGrowth(self)

    def _features(self, values: torch.Tensor) -> torch.Tensor:
        """Return (B, N, P) what the kernels compare; here the activations."""
        return values

    @abstractmethod
    def _log_kernels(self, features: torch.Tensor) -> torch.Tensor:
        """Return (n, B, B) float64 logarithms of kernels, zero on the diagonal, of (n, B, P) features."""


class UnitKernels:
    """Kernels of units between samples: float32 and cached where they fit, float64 on request.

    Parameters
    ----------
    features : (n, B, P)
    log_kernels : (n, B, P) -> (n, B, B) float64
    cache_bytes : memory for the cache
    """

    def __init__(self, features: torch.Tensor, log_kernels, cache_bytes: int) -> None:
        self._features, self._log_kernels = features, log_kernels
        self._bytes = 4 * features.shape[1] ** 2
        self._fits = self._bytes * len(features) <= cache_bytes

    def single(self, units: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield a slice of the units and their kernels (n, B, B) float32."""
        for part in self._slices(len(units), CHUNK_BYTES):
            yield part, self._cache.index_select(0, units[part]) if self._fits else self._compute(units[part])

    def precise(self, units: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield a slice of the units and logarithms of their kernels (n, B, B) float64."""
        for part in self._slices(len(units), CHUNK_BYTES // 2):
            yield part, self._log_kernels(self._features[units[part]])

    def _slices(self, count: int, limit: int) -> Iterator[slice]:
        step = max(1, limit // self._bytes)
        return (slice(start, start + step) for start in range(0, count, step))

    def _compute(self, units: torch.Tensor) -> torch.Tensor:
        return as_single(self._log_kernels(self._features[units]).exp_())

    @cached_property
    def _cache(self) -> torch.Tensor:
        units, samples = self._features.shape[:2]
        cache = torch.empty(units, samples, samples, device=self._features.device)
        every = torch.arange(units, device=cache.device)
        for part in self._slices(units, CHUNK_BYTES):
            cache[part] = self._compute(every[part])
        return cache


class KernelGrowth(Growth):
    """The kernel of the present set, float64, times each candidate's."""

    tolerance: ClassVar[float] = 5e-6

    def __init__(self, estimator: KernelEstimator) -> None:
        super().__init__(estimator.units, estimator.distinct.device)
        self._estimator, self._ratios = estimator, estimator.ratios
        samples = estimator.samples
        self._logs = torch.zeros(samples, samples, dtype=torch.float64, device=estimator.distinct.device)
        self._weights = self._ratios.single_masks

    def _values(self, candidates: torch.Tensor) -> torch.Tensor:
        units, places = torch.unique(self._estimator.distinct[candidates], return_inverse=True)
        found = torch.empty(len(units), dtype=torch.float64, device=units.device)
        for part, kernels in self._estimator.kernels.single(units):
            found[part] = self._ratios.information(kernels, self._weights)
        return found[places]

    def _precise(self, candidates: torch.Tensor) -> torch.Tensor:
        units, places = torch.unique(self._estimator.distinct[candidates], return_inverse=True)
        found = torch.empty(len(units), dtype=torch.float64, device=units.device)
        for part, logs in self._estimator.kernels.precise(units):
            found[part] = self._ratios.information((logs + self._logs).exp_(), self._ratios.masks)
        return found[places]

    def _put(self, unit: int) -> None:
        for _, logs in self._estimator.kernels.precise(self._estimator.distinct[unit : unit + 1]):
            self._logs += logs[0]
        kernel = self._logs.exp()
        self.value = float(self._ratios.information(kernel[None], self._ratios.masks))
        self._weights = self._ratios.single_masks * as_single(kernel)[:, None]


def as_single(kernels: torch.Tensor) -> torch.Tensor:
    """Return kernels in float32, without numbers whose products would be denormal."""
    return torch.threshold_(kernels.float(), NEGLIGIBLE, 0.0)
