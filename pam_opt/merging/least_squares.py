"""Ridge least squares of many outputs on some of many inputs, from rows that come batch by batch.

With rows x (a constant appended) and residuals r, the step ``argmin_d sum |r - d x|^2 + d' P d``, P diagonal, is
``d = (X'X + P)^-1 X'r``. Where there are fewer rows than inputs, the same is had from the rows' own products,
``d = P^-1 X' (X P^-1 X' + I)^-1 r``, without a matrix of inputs by inputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from pam_opt.errors import DataError
from pam_opt.tasks import Group

RIDGES = (1e-2, 1e-1, 1.0, 1e-3, 1e-4)  # the first wins where nothing could be held out


class Regression(ABC):
    """The rows of one layer, of which a part may be held out to choose the ridge.

    Parameters
    ----------
    values : inputs of a row, the constant left out
    layer : name, for messages
    """

    def __init__(self, values: int, layer: str) -> None:
        self.values, self.layer = values, layer
        self.rows = 0

    @staticmethod
    def of(values: int, layer: str, rows: int) -> "Regression":
        """Choose the form that is smaller for so many rows in all."""
        return RowProducts(values, layer) if rows < values else InputProducts(values, layer)

    @abstractmethod
    def add(self, inputs: Tensor, residuals: Mapping[Group, Tensor], held: bool) -> None:
        """Add rows (n, values + 1) and residuals (n, units) of every group; `held` for those held out."""

    @abstractmethod
    def step(self, group: Group, read: Tensor, ridge: float, intercept: bool) -> Tensor:
        """Return the step on the columns `read` from all rows, (columns, units) float64."""

    @abstractmethod
    def best_ridge(self, group: Group, read: Tensor, intercept: bool) -> float:
        """Return the ridge, fitted to the other rows, that predicts the rows held out best."""

    @abstractmethod
    def output_moments(self, columns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance (units,) over all rows of what weights (units, columns) give."""

    def _checked(self, step: Tensor, failed: Tensor) -> Tensor:
        if failed or not torch.isfinite(step).all():
            raise DataError(
                f"layer {self.layer!r}: the least squares of the refit overflow or are singular; scale the "
                "calibration inputs, raise ridge= or use weights='average'"
            )
        return step


class InputProducts(Regression):
    """Keep x'x and x'r: memory of inputs by inputs, whatever the number of rows."""

    def __init__(self, values: int, layer: str) -> None:
        super().__init__(values, layer)
        self.grams = [torch.zeros(values + 1, values + 1, dtype=torch.float64) for _ in range(2)]
        self.rights: list[dict[Group, Tensor]] = [{}, {}]

    def add(self, inputs: Tensor, residuals: Mapping[Group, Tensor], held: bool) -> None:
        """Add the products."""
        self.rows += len(inputs)
        self.grams[held] += inputs.T @ inputs
        right = self.rights[held]
        for group, residual in residuals.items():
            right[group] = right.get(group, 0.0) + (inputs.T @ residual).double()

    def step(self, group: Group, read: Tensor, ridge: float, intercept: bool) -> Tensor:
        """Solve for all rows."""
        gram = self.grams[0][read][:, read] + self.grams[1][read][:, read]
        right = sum((rights[group][read] for rights in self.rights if group in rights), torch.zeros(()))
        return self._solve(gram, right, ridge, intercept)

    def best_ridge(self, group: Group, read: Tensor, intercept: bool) -> float:
        """Compare squared errors, up to the constant that all ridges share."""
        if group not in self.rights[1]:
            return RIDGES[0]
        fitted, held = (gram[read][:, read] for gram in self.grams)
        own, right = (rights[group][read] for rights in self.rights)

        def held_out_error(ridge: float) -> float:
            step = self._solve(fitted, own, ridge, intercept)
            return float((step * (held @ step - 2 * right)).sum())

        return min(RIDGES, key=held_out_error)

    def output_moments(self, columns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Take them from the second moments of the inputs."""
        return moments_of_outputs((self.grams[0] + self.grams[1]) / self.rows, columns, weight)

    def _solve(self, gram: Tensor, right: Tensor, ridge: float, intercept: bool) -> Tensor:
        size = len(gram) - intercept
        mean = float(gram.diagonal()[:size].mean())
        count = float(gram[-1, -1]) if intercept else 0.0
        factor, failed = torch.linalg.cholesky_ex(gram + torch.diag(_pull(len(gram), mean, ridge, count)))
        return self._checked(torch.cholesky_solve(right, factor), failed)


class RowProducts(Regression):
    """Keep the rows themselves: for wide layers on few samples."""

    def __init__(self, values: int, layer: str) -> None:
        super().__init__(values, layer)
        self.inputs: list[list[Tensor]] = [[], []]
        self.residuals: list[list[Mapping[Group, Tensor]]] = [[], []]

    def add(self, inputs: Tensor, residuals: Mapping[Group, Tensor], held: bool) -> None:
        """Keep the rows."""
        self.rows += len(inputs)
        self.inputs[held].append(inputs)
        self.residuals[held].append(residuals)

    def step(self, group: Group, read: Tensor, ridge: float, intercept: bool) -> Tensor:
        """Solve for all rows."""
        inputs = torch.cat([*self.inputs[0], *self.inputs[1]])[:, read].double()
        right = torch.cat([rows[group] for rows in (*self.residuals[0], *self.residuals[1])]).double()
        pull = self._pull_of(inputs, ridge, intercept)
        scaled = inputs / pull
        return scaled.T @ self._dual(scaled @ inputs.T, right)

    def best_ridge(self, group: Group, read: Tensor, intercept: bool) -> float:
        """Compare squared errors."""
        if not any(len(part) for part in self.inputs[1]):
            return RIDGES[0]
        fitted, held = (torch.cat(part)[:, read].double() for part in self.inputs)
        own, right = (torch.cat([rows[group] for rows in part]).double() for part in self.residuals)

        def held_out_error(ridge: float) -> float:
            scaled = fitted / self._pull_of(fitted, ridge, intercept)
            return float((held @ scaled.T @ self._dual(scaled @ fitted.T, own) - right).square().sum())

        return min(RIDGES, key=held_out_error)

    def output_moments(self, columns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the outputs."""
        outputs = torch.cat([*self.inputs[0], *self.inputs[1]])[:, columns].double() @ weight.T
        return outputs.mean(0), outputs.var(0, correction=0)

    @staticmethod
    def _pull_of(inputs: Tensor, ridge: float, intercept: bool) -> Tensor:
        size = inputs.shape[1] - intercept
        mean = float(inputs[:, :size].square().sum() / size)
        return _pull(inputs.shape[1], mean, ridge, float(len(inputs)) if intercept else 0.0)

    def _dual(self, products: Tensor, right: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(products + torch.eye(len(products), dtype=torch.float64))
        return self._checked(torch.cholesky_solve(right, factor), failed)


def _pull(size: int, mean: float, ridge: float, count: float) -> Tensor:
    """Return the diagonal of P: the ridge relative to the inputs' mean square, next to nothing for the constant.

    Inputs that never fire leave a zero row; the pull makes the system definite whatever they are.
    """
    pull = torch.full((size,), max(ridge * mean, 1e-12 * max(mean, 1.0)), dtype=torch.float64)
    if count:
        pull[-1] = 1e-9 * max(1.0, count)
    return pull


def moments_of_outputs(moments: Tensor, columns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (units,) of ``weight @ x`` from second moments of inputs and the constant, its last."""
    mean = moments[columns, -1]
    covariance = moments[columns][:, columns] - torch.outer(mean, mean)
    return weight @ mean, ((weight @ covariance) * weight).sum(1).clamp(min=0)
