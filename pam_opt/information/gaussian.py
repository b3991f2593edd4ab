"""Information of noisy Gaussian units, from covariances within classes."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import torch

from pam_opt.errors import PlanError
from pam_opt.information.estimator import Estimator, Growth, with_positions
from pam_opt.information.variables import label_variables

LARGEST_RATIO = 1e7
"""Of a variance to the noise: above it, what float64 leaves of the differences is rounding."""


class GaussianInformation(Estimator):
    """Joint information of units that are Gaussian within every class, plus noise of variance v.

    ``I(S; Y) = 1/2 logdet(I + C_S / v) - 1/2 sum_y p_y logdet(I + C_S|y / v)``

    summed over labels; C are covariances over all samples that have the label and within each class, each divided by
    its own number of samples. It is the function of `pam_opt_solvers`' `GaussianInformation`, monotone in the set. As
    the overall distribution is taken as Gaussian, too, which has the largest entropy, it can exceed the label's
    entropy; with fewer samples in a class than units the covariances are singular and the estimate far too large: it
    ranks units, and is no amount of information.

    Adding a unit costs O(min(N, B)) per candidate and class, all in float64: where there are at most as many units as
    samples, one column of an incremental Cholesky factor; otherwise the same column from the samples' side. Takes one
    value per unit.

    Examples
    --------
    >>> values = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]) * 3
    >>> channel = GaussianInformation(values, torch.tensor([0, 1]), noise=1.0)
    >>> round(channel.information([0]), 4), round(channel.information([1]), 4)  # 1/2 log(1 + 9), 0
    (1.1513, 0.0)
    """

    def __init__(self, values: torch.Tensor, labels: torch.Tensor, noise: float = 0.1) -> None:
        super().__init__(values, labels, noise)
        flat = with_positions(values).double()
        if flat.shape[-1] != 1:
            raise PlanError(
                f"activations have {flat.shape[-1]} positions a unit and the estimator 'gaussian' takes one; "
                "pool the maps (max or mean), or use 'kde'"
            )
        self._values = flat[..., 0] - flat[..., 0].mean(dim=0)
        _check_variances(self._values, self.noise)
        self._set_classes()

    def for_labels(self, labels: torch.Tensor) -> Self:
        """Return the estimator of the same units for another task."""
        other = copy.copy(self)
        other._labels = label_variables(labels.to(self._device), self.samples)
        other._set_classes()
        return other

    def _set_classes(self) -> None:
        """Collect the distinct sets of samples, (G, B), and the factors (G,) of their log-determinants."""
        factors: dict[bytes, float] = {}
        masks: dict[bytes, torch.Tensor] = {}
        for classes in self._labels:
            given = classes.any(dim=0)
            for mask, factor in [(given, 0.5), *((one, -0.5 * int(one.sum()) / int(given.sum())) for one in classes)]:
                key = mask.cpu().numpy().tobytes()
                masks[key], factors[key] = mask, factors.get(key, 0.0) + factor
        stacked = torch.stack(list(masks.values())).double() if masks else self._values.new_zeros(0, self.samples)
        self._factors = torch.tensor(list(factors.values()), dtype=torch.float64, device=self._device)
        sizes = stacked.sum(dim=1)[:, None, None]
        centred = torch.diag_embed(stacked) - stacked[:, :, None] * stacked[:, None] / sizes
        self._forms = centred / (sizes * self.noise)  # (G, B, B): x' form y = covariance / noise

    def information(self, members: Sequence[int]) -> float:
        """Return the joint information of a set of units with the task, in nats."""
        chosen = self._values[:, torch.as_tensor(members, dtype=torch.long)]
        matrices = chosen.T @ self._forms @ chosen
        matrices.diagonal(dim1=1, dim2=2).add_(1.0)
        return max(0.0, float(self._factors @ torch.linalg.slogdet(matrices)[1]))

    def grow(self) -> Growth:
        """Return an empty set to be grown."""
        growth = _CholeskyGrowth if self.units <= self.samples else _SampleGrowth
        return growth(self._values, self._forms, self._factors)


class _GaussianGrowth(Growth):
    """Residual variances (G, N) of all units given the set, over the noise and with it."""

    def __init__(self, values: torch.Tensor, forms: torch.Tensor, factors: torch.Tensor) -> None:
        super().__init__(values.shape[1], values.device)
        self._units, self._forms, self._factors = values, forms, factors
        self._residual = 1.0 + torch.einsum("bn,gbn->gn", values, forms @ values)

    def _values(self, candidates: torch.Tensor) -> torch.Tensor:
        return (self.value + self._factors @ self._residual.index_select(1, candidates).log()).clamp_(min=0.0)

    def _put(self, unit: int) -> None:
        self.value = max(0.0, self.value + float(self._factors @ self._residual[:, unit].log()))
        column = self._column(unit)
        self._residual = (self._residual - column.square_()).clamp_(min=1.0)  # noise is independent of everything

    @abstractmethod
    def _column(self, unit: int) -> torch.Tensor:
        """Return (G, N) the column that the unit adds to the Cholesky factors, and take note of it."""


class _CholeskyGrowth(_GaussianGrowth):
    """Keeps the columns of the set's units: O(|S|) per candidate."""

    def __init__(self, values: torch.Tensor, forms: torch.Tensor, factors: torch.Tensor) -> None:
        super().__init__(values, forms, factors)
        self._matrices = values.T @ (forms @ values)
        self._columns = torch.empty_like(self._matrices)

    def _column(self, unit: int) -> torch.Tensor:
        size = len(self.members)
        known = self._columns[:, :size]
        column = self._matrices[:, unit] - torch.bmm(known[:, :, unit, None].transpose(1, 2), known)[:, 0]
        column[:, unit] += 1.0
        column /= self._residual[:, unit, None].sqrt()
        self._columns[:, size] = column
        return column.clone()


class _SampleGrowth(_GaussianGrowth):
    """Keeps the forms (G, B, B) given the set: O(B) per candidate, however many units are in the set."""

    def __init__(self, values: torch.Tensor, forms: torch.Tensor, factors: torch.Tensor) -> None:
        super().__init__(values, forms.clone(), factors)

    def _column(self, unit: int) -> torch.Tensor:
        direction = self._forms @ self._units[:, unit] / self._residual[:, unit, None].sqrt()
        self._forms.baddbmm_(direction[:, :, None], direction[:, None], alpha=-1)
        return direction @ self._units


def _check_variances(values: torch.Tensor, noise: float) -> None:
    largest = float(values.square().mean(dim=0).max()) if values.numel() else 0.0
    if not largest <= LARGEST_RATIO * noise:
        raise PlanError(
            f"noise is {noise:g} and the largest variance of a unit {largest:g}; raise the noise to at least "
            f"{largest / LARGEST_RATIO:g}, or scale the activations"
        )
