"""Refit: fit every layer of the merged network to its parents' pre-activations, one layer after the other."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pam_opt.data import checked
from pam_opt.folding import Folded, NormState, fold, norm_state, unfold
from pam_opt.network import GroupLayer, MultitaskNetwork, Signals
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer, canonical
from pam_opt.tasks import Group
from pam_opt.training import Batches, evaluation_mode

_ROWS_PER_VALUE = 20
"""Rows of the regression per input value; more positions than that are not needed and cost time."""


@dataclass(frozen=True)
class RefitOptions:
    """Say how to refit; see `pam_opt.merge`."""

    target: Literal["mean", "keep"] = "mean"
    ridge: float = 1e-3
    seed: int = 0


@torch.no_grad()
def refit(
    network: MultitaskNetwork,
    parents: Mapping[str, MultitaskNetwork],
    layers: Sequence[LayerPlan],
    calibration: Batches,
    options: RefitOptions,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fit the network in place, layer by layer.

    With inputs x of a layer (a constant appended), targets y of its units and present weights w, the new
    weights are ``w + argmin_d sum |y - (w + d) x|^2 + ridge |d|^2``: ridge least squares that pulls towards
    the averaged weights, so units whose inputs say nothing stay as they are. Each group reads only the inputs
    that the lattice allows.

    Parameters
    ----------
    network : merged, with averaged weights, in evaluation mode
    parents : task -> network of one task, in the order of the plan's columns
    layers : the plan of every layer, heads included
    """
    samples = sum(len(x) for x, _ in checked(calibration, (), what="calibration"))
    with evaluation_mode(network, *parents.values()):
        for index in range(len(layers)):
            fit = _LayerFit(network, parents, layers[index], index, samples, options)
            for x, _ in calibration:
                fit.add(x)
            fit.write()
            if progress:
                progress(index + 1, len(layers))


class _LayerFit:
    """The normal equations of one layer: one Gram matrix of all its inputs, one right-hand side per group."""

    def __init__(
        self,
        network: MultitaskNetwork,
        parents: Mapping[str, MultitaskNetwork],
        plan: LayerPlan,
        index: int,
        samples: int,
        options: RefitOptions,
    ) -> None:
        self.network, self.parents, self.plan, self.index, self.options = (
            network,
            parents,
            plan,
            index,
            options,
        )
        self.layer: Layer = network.structure.layers[index]
        self.sources = [] if index == 0 else canonical(network.structure.widths[index - 1])
        units = sum(network.structure.widths[index - 1].values()) if index else network.structure.inputs
        self.values = units * self.layer.kernel_area
        self.positions = math.ceil(_ROWS_PER_VALUE * self.values / samples)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.gram = torch.zeros(self.values + 1, self.values + 1, dtype=torch.float64)
        self.right: dict[Group, Tensor] = {}
        self.rows = 0
        self.shares = _target_shares(plan, options.target)

    def add(self, x: Tensor) -> None:
        x = self.network.prelude(x)
        everything = frozenset(self.network.tasks)
        signals: Signals = {}
        for index in range(self.index):
            signals = self.network.run_layer(index, x, signals, everything)
        joined = torch.cat([signals[group] for group in self.sources], dim=1) if self.sources else x
        targets = [self._parent_rows(task, x) for task in self.network.tasks]
        block_outputs = {
            group: block.pre(self.network.inputs_of(self.index, group, x, signals))
            for group, block in self.network.blocks(self.index)
        }
        chosen = self._choose(next(iter(block_outputs.values())))
        inputs = _append_one(_input_rows(joined, self.layer, chosen))
        self.gram += inputs.T @ inputs
        self.rows += len(inputs)
        for group, output in block_outputs.items():
            rows = self.plan.rows(group)
            wanted = _mixed_rows(
                [_rows(target, chosen) for target in targets], self.plan.members[rows], self.shares[rows]
            )
            product = (inputs.T @ (wanted - _rows(output, chosen))).double()
            self.right[group] = self.right.get(group, 0.0) + product

    def write(self) -> None:
        intercept = self.layer.bias or self.layer.norm is not None
        for group, block in self.network.blocks(self.index):
            columns = self._columns(group)
            if intercept:
                columns = torch.cat([columns, torch.tensor([self.values])])
            gram = self.gram[columns][:, columns]
            step = _ridge_step(gram, self.right[group][columns], self.options.ridge, intercept)
            self._update(block, columns, step, intercept)

    def _update(self, block: GroupLayer, columns: Tensor, step: Tensor, intercept: bool) -> None:
        folded, state = fold(block, self.layer), norm_state(block)
        weight_step, bias_step = (step[:-1], step[-1]) if intercept else (step, torch.zeros(step.shape[1]))
        weight = folded.weight + weight_step.T.reshape(folded.weight.shape)
        fitted = Folded(weight, folded.bias + bias_step)
        if state is not None:
            state = self._observed_norm(fitted, columns[:-1], state)
        unfold(block, fitted, state)

    def _observed_norm(self, fitted: Folded, columns: Tensor, state: NormState) -> NormState:
        """Write the norm so that batch statistics in training agree with the running ones."""
        mean = self.gram[columns, -1] / self.rows
        covariance = self.gram[columns][:, columns] / self.rows - torch.outer(mean, mean)
        weight = fitted.weight.flatten(1)
        variance = ((weight @ covariance) * weight).sum(1).clamp(min=0)
        return NormState(state.variance, variance.sqrt(), fitted.bias + weight @ mean)

    def _columns(self, group: Group) -> Tensor:
        """Find the Gram matrix's columns that `group` may read."""
        if not self.sources:
            return torch.arange(self.values)
        widths = self.network.structure.widths[self.index - 1]
        allowed = [torch.full((widths[source] * self.layer.kernel_area,), group <= source) for source in self.sources]
        return torch.cat(allowed).nonzero().flatten()

    def _parent_rows(self, task: str, x: Tensor) -> Tensor:
        parent, group = self.parents[task], frozenset({task})
        signals: Signals = {}
        for index in range(self.index):
            signals = parent.run_layer(index, x, signals, group)
        return parent.block(self.index, group).pre(parent.inputs_of(self.index, group, x, signals))

    def _choose(self, output: Tensor) -> Tensor | None:
        """Draw the positions of this batch; None takes all."""
        count = output.shape[2:].numel()
        if self.positions >= count:
            return None
        return torch.randperm(count, generator=self.generator)[: self.positions]


def _target_shares(plan: LayerPlan, target: str) -> np.ndarray:
    if target == "mean":
        return plan.shares
    kept = np.zeros_like(plan.shares)
    kept[np.arange(len(kept)), np.where(plan.members >= 0, plan.shares, -1.0).argmax(1)] = 1.0
    return kept


def _mixed_rows(targets: Sequence[Tensor], members: np.ndarray, shares: np.ndarray) -> Tensor:
    total = torch.zeros(len(targets[0]), len(members))
    for column, target in enumerate(targets):
        chosen = np.flatnonzero((members[:, column] >= 0) & (shares[:, column] > 0))
        if len(chosen):
            share = torch.from_numpy(shares[chosen, column]).float()
            total[:, chosen] += target[:, members[chosen, column]] * share
    return total


def _rows(values: Tensor, chosen: Tensor | None) -> Tensor:
    """Turn (N, units, ...) into (N x chosen positions, units)."""
    if values.ndim == 2:
        return values
    flat = values.flatten(2)
    flat = flat if chosen is None else flat[:, :, chosen]
    return flat.transpose(1, 2).reshape(-1, values.shape[1])


def _input_rows(x: Tensor, layer: Layer, chosen: Tensor | None) -> Tensor:
    """Return what each output position reads, (N x chosen positions, inputs x area)."""
    if layer.kind == "linear":
        return x
    settings = layer.settings
    kernel, dilation = settings["kernel_size"], settings["dilation"]
    x = functional.pad(x, _padding(settings))
    return _rows(functional.unfold(x, kernel, dilation=dilation, stride=settings["stride"]), chosen)


def _padding(settings: Mapping[str, object]) -> list[int]:
    """Return (left, right, top, bottom) as ``functional.pad`` takes them."""
    padding = settings["padding"]
    if isinstance(padding, str):
        if padding == "valid":
            return [0, 0, 0, 0]
        kernel, dilation = settings["kernel_size"], settings["dilation"]
        assert isinstance(kernel, list)
        assert isinstance(dilation, list)
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [totals[1] // 2, totals[1] - totals[1] // 2, totals[0] // 2, totals[0] - totals[0] // 2]
    assert isinstance(padding, list)
    return [padding[1], padding[1], padding[0], padding[0]]


def _append_one(rows: Tensor) -> Tensor:
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def _ridge_step(gram: Tensor, right: Tensor, ridge: float, intercept: bool) -> Tensor:
    """Solve (G + ridge * mean(diag G) I) d = r, the constant left free."""
    size = len(gram) - intercept
    diagonal = gram.diagonal()[:size]
    mean = float(diagonal.mean()) if size else 0.0
    # Inputs that never fire leave a zero row; the pull makes the system definite whatever they are.
    pull = torch.full((len(gram),), max(ridge * mean, 1e-12 * max(mean, 1.0)), dtype=torch.float64)
    if intercept:
        pull[-1] = 1e-9 * gram[-1, -1]
    factor = torch.linalg.cholesky(gram + torch.diag(pull))
    return torch.cholesky_solve(right, factor)
