"""Refit: fit every layer of a network to pre-activations of others, one layer after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pam_opt.data import checked
from pam_opt.errors import DataError
from pam_opt.folding import Folded, fold, norm_state, unfold
from pam_opt.merging.rows import append_one, choose_positions, input_rows, readable_values, rows_per_sample, unit_rows
from pam_opt.merging.statistics import observed_norm
from pam_opt.merging.weights import Mix
from pam_opt.network import MultitaskNetwork, Signals
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer, canonical
from pam_opt.tasks import Group
from pam_opt.training import Batches, evaluation_mode

_RIDGES = (1e-2, 1e-1, 1.0, 1e-3, 1e-4)  # the first wins where nothing could be held out
_HELD_OUT = 5  # one sample in so many


@dataclass(frozen=True)
class RefitOptions:
    """Say how to refit; see `pam_opt.merge`."""

    target: Literal["mean", "keep"] = "mean"
    ridge: float | None = None
    seed: int = 0


Rows = Mapping[Group, Tensor]
"""Pre-activations of one network's groups in one layer, (rows, units) each."""

Aim = Callable[[Group, Sequence[Rows]], Tensor]
"""(group of the network that is fitted, rows of every teacher) -> what its units should give, (rows, units)."""


def refit(
    network: MultitaskNetwork,
    parents: Mapping[str, MultitaskNetwork],
    layers: Sequence[LayerPlan],
    calibration: Batches,
    options: RefitOptions,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fit a merged network in place to its parents, layer by layer; see `fit_to`.

    Parameters
    ----------
    network : merged, with averaged weights, in evaluation mode
    parents : task -> network of one task, in the order of the plan's tasks
    layers : the plan of every layer, heads included
    """
    aims = [_mixed(plan if options.target == "mean" else _largest_kept(plan)) for plan in layers]
    fit_to(network, list(parents.values()), aims, calibration, options.ridge, options.seed, progress)


@torch.no_grad()
def fit_to(
    network: MultitaskNetwork,
    teachers: Sequence[MultitaskNetwork],
    aims: Sequence[Aim],
    calibration: Batches,
    ridge: float | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fit a network in place to pre-activations of others, layer by layer.

    With inputs x of a layer (a constant appended), targets y of its units and present weights w, the new
    weights are ``w + argmin_d sum |y - (w + d) x|^2 + ridge |d|^2``: ridge least squares that pulls towards
    the present weights, so units whose inputs say nothing stay as they are. Each group reads only the inputs
    that the lattice allows. Where the ridge is left open, each group of each layer takes the one of five that
    predicts a held-out fifth of the samples best, and is then fitted to all of them.

    The signals of one layer are kept for all calibration samples, so that no layer is computed twice.

    Parameters
    ----------
    teachers : networks with the same layers
    aims : for every layer, heads included, what its units should give
    ridge : relative to the inputs' mean square; None chooses it
    seed : of the output positions that are drawn
    """
    with evaluation_mode(network, *teachers):
        batches = [
            _Stream(network.enter(x), {}, [{} for _ in teachers])
            for x, _ in checked(calibration, (), what="calibration")
        ]
        samples = sum(len(batch.x) for batch in batches)
        for index, aim in enumerate(aims):
            fit = _LayerFit(network, teachers, aim, index, samples, ridge, seed)
            for batch in batches:
                fit.add(batch)
            fit.write()
            for batch in batches:
                batch.advance(network, teachers, index)
            if progress:
                progress(index + 1, len(aims))


def _mixed(plan: LayerPlan) -> Aim:
    """Aim at the members' share-weighted mean; every parent has one group."""
    mixes = {group: Mix.of(plan, plan.rows(group)) for group in plan.widths}
    return lambda group, rows: mixes[group].average_rows([next(iter(own.values())) for own in rows])


@dataclass
class _Stream:
    """One batch on its way through all networks, in front of the same layer of each."""

    x: Tensor
    fitted: Signals
    taught: list[Signals]

    def advance(self, network: MultitaskNetwork, teachers: Sequence[MultitaskNetwork], index: int) -> None:
        """Move behind the layer."""
        self.fitted = network.run_layer(index, self.x, self.fitted, frozenset(network.tasks))
        self.taught = [
            teacher.run_layer(index, self.x, signals, frozenset(teacher.tasks))
            for teacher, signals in zip(teachers, self.taught, strict=True)
        ]


class _Moments:
    """Sums of inputs x (a constant appended) and residuals r: x'x, and x'r for every group."""

    def __init__(self, values: int, layer: str) -> None:
        self.layer = layer
        self.gram = torch.zeros(values + 1, values + 1, dtype=torch.float64)
        self.right: dict[Group, Tensor] = {}
        self.rows = 0

    def add(self, inputs: Tensor, residuals: Mapping[Group, Tensor]) -> None:
        self.gram += inputs.T @ inputs
        self.rows += len(inputs)
        for group, residual in residuals.items():
            self.right[group] = self.right.get(group, 0.0) + (inputs.T @ residual).double()

    def __add__(self, other: "_Moments") -> "_Moments":
        total = _Moments(len(self.gram) - 1, self.layer)
        total.gram, total.rows = self.gram + other.gram, self.rows + other.rows
        total.right = {group: right + other.right[group] for group, right in self.right.items()}
        return total


class _LayerFit:
    """The regressions of one layer: one Gram matrix of all its inputs, one right-hand side per group."""

    def __init__(
        self,
        network: MultitaskNetwork,
        teachers: Sequence[MultitaskNetwork],
        aim: Aim,
        index: int,
        samples: int,
        ridge: float | None,
        seed: int,
    ) -> None:
        self.network, self.teachers, self.aim, self.index, self.ridge = network, teachers, aim, index, ridge
        self.layer: Layer = network.structure.layers[index]
        self.sources = [] if index == 0 else canonical(network.structure.widths[index - 1])
        units = sum(network.structure.widths[index - 1].values()) if index else network.structure.inputs
        self.values = units * self.layer.kernel_area
        self.positions = rows_per_sample(self.values, samples)
        self.generator = torch.Generator().manual_seed(seed)
        self.fitted, self.held = (_Moments(self.values, self.layer.name) for _ in range(2))

    def add(self, batch: _Stream) -> None:
        outputs = _pre_activations(self.network, self.index, batch.x, batch.fitted)
        joined = torch.cat([batch.fitted[group] for group in self.sources], dim=1) if self.sources else batch.x
        chosen = self._choose(next(iter(outputs.values())))
        inputs = append_one(input_rows(joined, self.layer, chosen))
        taught = [
            {
                group: unit_rows(values, chosen)
                for group, values in _pre_activations(teacher, self.index, batch.x, signals).items()
            }
            for teacher, signals in zip(self.teachers, batch.taught, strict=True)
        ]
        residuals = {group: self.aim(group, taught) - unit_rows(output, chosen) for group, output in outputs.items()}
        cut = len(inputs) // len(batch.x) * (len(batch.x) - len(batch.x) // _HELD_OUT)
        self.fitted.add(inputs[:cut], {group: residual[:cut] for group, residual in residuals.items()})
        self.held.add(inputs[cut:], {group: residual[cut:] for group, residual in residuals.items()})

    def write(self) -> None:
        intercept = self.layer.bias or self.layer.norm is not None
        everything = self.fitted + self.held
        for group, block in self.network.blocks(self.index):
            columns = readable_values(self.network.structure, self.index, group)
            read = torch.cat([columns, torch.tensor([self.values])]) if intercept else columns
            ridge = self.ridge if self.ridge is not None else self._best_ridge(group, read, intercept)
            step = _ridge_step(everything, group, read, ridge, intercept)
            weight_step, bias_step = (step[:-1], step[-1]) if intercept else (step, torch.zeros(step.shape[1]))
            folded = fold(block, self.layer)
            weight = folded.weight + weight_step.T.reshape(folded.weight.shape)
            fitted, state = Folded(weight, folded.bias + bias_step), norm_state(block)
            unfold(block, fitted, observed_norm(everything.gram / everything.rows, fitted, columns, state))

    def _best_ridge(self, group: Group, read: Tensor, intercept: bool) -> float:
        """Return the ridge that predicts the held-out samples best."""
        gram, right = self.held.gram[read][:, read], self.held.right[group][read]

        def held_out_error(ridge: float) -> float:
            step = _ridge_step(self.fitted, group, read, ridge, intercept)
            return float((step * (gram @ step - 2 * right)).sum())

        return min(_RIDGES, key=held_out_error)

    def _choose(self, output: Tensor) -> Tensor | None:
        """Draw the positions of this batch; None takes all."""
        return choose_positions(output.shape[2:].numel(), self.positions, self.generator)


def _pre_activations(network: MultitaskNetwork, index: int, x: Tensor, signals: Signals) -> dict[Group, Tensor]:
    """Return the pre-activations of all groups of a layer."""
    return {group: block.pre(network.inputs_of(index, group, x, signals)) for group, block in network.blocks(index)}


def _largest_kept(plan: LayerPlan) -> LayerPlan:
    """Give the whole share of every merged unit to its largest member, the first of equals."""
    places, shares = np.concatenate(plan.places), np.concatenate(plan.shares)
    order = np.lexsort((-shares, places))
    order = order[places[order] >= 0]
    kept = np.zeros_like(shares)
    kept[order[np.unique(places[order], return_index=True)[1]]] = 1.0
    parts = np.split(kept, np.cumsum(plan.units)[:-1])
    return replace(plan, shares=tuple(parts))


def _ridge_step(moments: _Moments, group: Group, read: Tensor, ridge: float, intercept: bool) -> Tensor:
    """Solve (G + ridge * mean(diag G) I) d = r on the columns `read`, the constant left free."""
    gram, right = moments.gram[read][:, read], moments.right[group][read]
    size = len(gram) - intercept
    mean = float(gram.diagonal()[:size].mean())
    # Inputs that never fire leave a zero row; the pull makes the system definite whatever they are.
    pull = torch.full((len(gram),), max(ridge * mean, 1e-12 * max(mean, 1.0)), dtype=torch.float64)
    if intercept:
        pull[-1] = 1e-9 * max(1.0, float(gram[-1, -1]))
    factor, failed = torch.linalg.cholesky_ex(gram + torch.diag(pull))
    step = torch.cholesky_solve(right, factor)
    if failed or not torch.isfinite(step).all():
        raise DataError(
            f"layer {moments.layer!r}: the least squares of the refit overflow or are singular; scale the "
            "calibration inputs, raise ridge= or use weights='average'"
        )
    return step
