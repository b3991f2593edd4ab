"""Refit: fit every layer of a network to pre-activations of others, one layer after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pam_opt.folding import Folded, fold, norm_state, unfold
from pam_opt.merging.least_squares import Regression
from pam_opt.merging.rows import append_one, choose_positions, input_rows, readable_values, rows_per_sample, unit_rows
from pam_opt.merging.statistics import observed_norm
from pam_opt.merging.streams import Stream, pre_activations
from pam_opt.merging.weights import Mix
from pam_opt.network import MultitaskNetwork, Signals, channel_axis
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer
from pam_opt.tasks import Group
from pam_opt.training import Batches, evaluation_mode

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
    aims = [
        _mixed(plan if options.target == "mean" else _largest_kept(plan), layer.size)
        for plan, layer in zip(layers, network.structure.layers, strict=True)
    ]
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

    The signals that are still to be read are kept for all calibration samples, so that no layer is computed twice.
    Layers whose units read only themselves, such as depthwise convolutions, stay as they are.

    Parameters
    ----------
    teachers : networks with the same layers
    aims : for every layer, heads included, what its units should give
    ridge : relative to the inputs' mean square; None chooses it
    seed : of the output positions that are drawn
    """
    with evaluation_mode(network, *teachers):
        batches = Stream.all_of(network, teachers, calibration)
        for index, aim in enumerate(aims):
            if network.structure.layers[index].is_dense:
                fit = _LayerFit(network, teachers, aim, index, sum(batch.samples for batch in batches), ridge, seed)
                for batch in batches:
                    fit.add(batch)
                fit.write()
            else:
                for batch in batches:
                    batch.teach(teachers, index)
            for batch in batches:
                batch.fitted = network.advance(index, batch.fitted)
            if progress:
                progress(index + 1, len(aims))


def _mixed(plan: LayerPlan, size: int) -> Aim:
    """Aim at the members' share-weighted mean; every parent has one group."""
    mixes = {group: Mix.of(plan, plan.rows(group)) for group in plan.widths}
    return lambda group, rows: mixes[group].average_rows([next(iter(own.values())) for own in rows], size)


class _LayerFit:
    """The regressions of one layer on all its inputs, one for each group."""

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
        self.samples = samples
        self.generator = torch.Generator().manual_seed(seed)
        self.regression: Regression | None = None

    def add(self, batch: Stream) -> None:
        """Take the rows of one batch; moves it behind the layer in the teachers."""
        outputs = pre_activations(self.network, self.index, batch.fitted)
        joined, count = self.network.all_inputs(self.index, batch.fitted), self._positions(outputs)
        values = joined.shape[channel_axis(self.layer)] * (1 if self.layer.kind == "linear" else self._area)
        wanted = min(count, rows_per_sample(values, self.samples))
        chosen = choose_positions(count, wanted, self.generator)
        inputs = append_one(input_rows(joined, self.layer, chosen))
        taught = [
            {group: unit_rows(values, self.layer, chosen) for group, values in seen.items()}
            for seen in batch.teach(self.teachers, self.index)
        ]
        residuals = {
            group: self.aim(group, taught) - unit_rows(output, self.layer, chosen) for group, output in outputs.items()
        }
        if self.regression is None:
            self.regression = Regression.of(values, self.layer.name, self.samples * wanted)
        cut = wanted * (batch.samples - batch.samples // _HELD_OUT)
        for part, held in ((slice(0, cut), False), (slice(cut, None), True)):
            self.regression.add(inputs[part], {group: rows[part] for group, rows in residuals.items()}, held)

    def write(self) -> None:
        regression = self.regression
        assert regression is not None
        intercept = self.layer.bias or self.layer.norm is not None
        for group, block in self.network.blocks(self.index):
            columns = readable_values(self.network.structure, self.index, group)
            read = torch.cat([columns, torch.tensor([regression.values])]) if intercept else columns
            ridge = self.ridge if self.ridge is not None else regression.best_ridge(group, read, intercept)
            step = regression.step(group, read, ridge, intercept)
            weight_step, bias_step = (step[:-1], step[-1]) if intercept else (step, torch.zeros(step.shape[1]))
            folded = fold(block, self.layer)
            weight = folded.weight + weight_step.T.reshape(folded.weight.shape)
            fitted, state = Folded(weight, folded.bias + bias_step), norm_state(block)
            if state is not None:
                state = observed_norm(regression.output_moments(columns, weight.flatten(1)), fitted, state)
            unfold(block, fitted, state)

    @property
    def _area(self) -> int:
        height, width = self.layer.settings["kernel_size"]
        return height * width

    def _positions(self, outputs: Signals) -> int:
        shape = next(iter(outputs.values())).shape
        return shape[1:-1].numel() if self.layer.kind == "linear" else shape[2:].numel()


def _largest_kept(plan: LayerPlan) -> LayerPlan:
    """Give the whole share of every merged unit to its largest member, the first of equals."""
    places, shares = np.concatenate(plan.places), np.concatenate(plan.shares)
    order = np.lexsort((-shares, places))
    order = order[places[order] >= 0]
    kept = np.zeros_like(shares)
    kept[order[np.unique(places[order], return_index=True)[1]]] = 1.0
    parts = np.split(kept, np.cumsum(plan.units)[:-1])
    return replace(plan, shares=tuple(parts))
