"""Measure parents on calibration data: streaming moments of pre-activations, diagonal Fisher, Taylor importance."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from pam_opt.data import checked
from pam_opt.errors import UnsupportedModel
from pam_opt.gradients import gate_products, loss_gradients, unit_values
from pam_opt.network import MultitaskNetwork
from pam_opt.parents import convert_parents
from pam_opt.structure import Layer
from pam_opt.tasks import Task, check_tasks
from pam_opt.training import Batches, evaluation_mode


@dataclass(frozen=True)
class UnitStatistics:
    """Describe the units of one parent in one layer; arrays of shape (units,), float64.

    Parameters
    ----------
    mean, variance : of the pre-activation y, over samples and positions
    fisher : E[(dLoss_t / dy)^2] over samples and positions, diagonal empirical Fisher
    importance : E[(g dLoss_t / dg)^2] over samples at gate g = 1, Taylor importance of dropping the unit
    """

    mean: np.ndarray
    variance: np.ndarray
    fisher: np.ndarray
    importance: np.ndarray


@dataclass(frozen=True)
class LayerStatistics:
    """Describe one layer of all parents.

    Parameters
    ----------
    name : the layer's name
    positions : values that a unit gives for one sample: output positions times the channels of a unit
    units : task -> statistics of its parent's units
    covariance : (task s, task t), s before t, and equal where `within` was asked for
        -> (units of s, units of t) covariance of pre-activations
    further : the same of the further layers that write these units: the summands of a residual stream, depthwise
        convolutions. Their units' importance is that of the unit, in all layers the same
    """

    name: str
    positions: int
    units: Mapping[str, UnitStatistics]
    covariance: Mapping[tuple[str, str], np.ndarray]
    further: tuple["LayerStatistics", ...] = ()

    @property
    def writers(self) -> tuple["LayerStatistics", ...]:
        """All layers that write the units, this one first."""
        return (self, *self.further)

    def cross(self, s: str, t: str) -> np.ndarray:
        """Return the covariance between the units of two parents, or within one, (units of s, units of t)."""
        return self.covariance[s, t] if (s, t) in self.covariance else self.covariance[t, s].T


@dataclass(frozen=True)
class Statistics:
    """Hold what `measure` found: one `LayerStatistics` for each of `Structure.spaces`, in order."""

    layers: tuple[LayerStatistics, ...]
    samples: int
    input_shape: tuple[int, ...]
    seconds: float


def measure(
    parents: Mapping[str, nn.Module],
    calibration: Batches,
    *,
    tasks: Sequence[Task],
    within: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Statistics:
    """Measure all parents on the same samples, batch by batch; memory does not grow with their number.

    Parameters
    ----------
    parents : task name -> module
    calibration : re-iterable batches (x, {task name: target})
    within : also measure the covariance within each parent, which plans that keep representatives need and
        pairing does not; for two parents that is three matrix products in place of one
    progress : called with the number of samples seen so far

    Raises
    ------
    UnsupportedModel : parents that do not match, or activations that are not finite
    DataError : no batches, or a batch without a task's target
    TaskError : tasks that do not match the parents
    """
    started = time.perf_counter()
    tasks = check_tasks(tasks, parents)
    networks = convert_parents(parents)
    structure = next(iter(networks.values())).structure
    accumulators = {
        index: _LayerAccumulator(layer.name, within)
        for index, layer in enumerate(structure.layers[:-1])
        if layer.has_weights
    }
    samples, shape = 0, ()
    with evaluation_mode(*networks.values()):
        for x, targets in checked(calibration, [task.name for task in tasks], what="calibration"):
            found = {task.name: _observe(networks[task.name], x, targets, task) for task in tasks}
            for index, accumulator in accumulators.items():
                accumulator.add({name: observed[index] for name, observed in found.items()})
            samples, shape = samples + len(x), tuple(x.shape[1:])
            if progress:
                progress(samples)
    layers = []
    for space in structure.spaces:
        first, *further = [accumulators[index].finish() for index in structure.tied(space) if index in accumulators]
        layers.append(replace(first, further=tuple(further)))
    return Statistics(tuple(layers), samples, shape, time.perf_counter() - started)


@dataclass(frozen=True)
class _Observation:
    """One layer of one parent on one batch: rows (N x positions, units), and sums over the batch."""

    rows: Tensor
    samples: int
    squared_gradient: Tensor
    importance: Tensor


def _observe(
    network: MultitaskNetwork, x: Tensor, targets: Mapping[str, Tensor], task: Task
) -> dict[int, _Observation]:
    taps, gradients = loss_gradients(network, x, targets, [task])
    products = gate_products(network, taps, gradients[task.name])
    result = {}
    for (index, group), values in taps.items():
        layer = network.structure.layers[index]
        rows = _rows(layer, values)
        gradient = gradients[task.name].get((index, group))
        squared = torch.zeros(rows.shape[1]) if gradient is None else _rows(layer, gradient).square().sum(0)
        product = products.get((layer.ties, group))
        importance = torch.zeros(rows.shape[1]) if product is None else product.square().sum(0)
        result[index] = _Observation(rows, len(x), squared, importance)
    return result


def _rows(layer: Layer, values: Tensor) -> Tensor:
    """Turn what a layer gives into (N x values of one unit, units)."""
    units = unit_values(layer, values)
    return units.transpose(1, 2).reshape(-1, units.shape[1])


class _LayerAccumulator:
    """Sum the moments of one layer over batches, shifted by the first batch's means so that nothing cancels."""

    def __init__(self, name: str, within: bool) -> None:
        self.name = name
        self.pairs = itertools.combinations_with_replacement if within else itertools.combinations
        self.samples = self.count = 0
        self.shift: dict[str, Tensor] = {}
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.products: dict[tuple[str, str], Tensor] = {}

    def add(self, observed: Mapping[str, _Observation]) -> None:
        for task, seen in observed.items():
            if task not in self.shift:
                self.shift[task] = seen.rows.mean(0)
                zeros = torch.zeros(seen.rows.shape[1], dtype=torch.float64)
                self.sums[task] = {key: zeros.clone() for key in ("first", "second", "fisher", "importance")}
        first = next(iter(observed.values()))
        self.samples, self.count = self.samples + first.samples, self.count + len(first.rows)
        shifted = {task: seen.rows - self.shift[task] for task, seen in observed.items()}
        for task, seen in observed.items():
            sums = self.sums[task]
            sums["first"] += shifted[task].sum(0)
            sums["second"] += shifted[task].square().sum(0)
            sums["fisher"] += seen.squared_gradient
            sums["importance"] += seen.importance
        for s, t in self.pairs(observed, 2):
            product = shifted[s].T @ shifted[t]
            if (s, t) in self.products:
                self.products[s, t] += product
            else:
                self.products[s, t] = product.double()

    def finish(self) -> LayerStatistics:
        units = {}
        centre = {task: sums["first"] / self.count for task, sums in self.sums.items()}
        for task, sums in self.sums.items():
            units[task] = UnitStatistics(
                (centre[task] + self.shift[task]).numpy(),
                (sums["second"] / self.count - centre[task].square()).clamp(min=0).numpy(),
                (sums["fisher"] / self.count).numpy(),
                (sums["importance"] / self.samples).numpy(),
            )
        covariance = {
            (s, t): product.div_(self.count).addr_(centre[s], centre[t], alpha=-1).numpy()
            for (s, t), product in self.products.items()
        }
        for task, found in units.items():
            if not all(np.isfinite(array).all() for array in vars(found).values()):
                raise UnsupportedModel(
                    f"parent {task!r}: statistics of layer {self.name!r} overflow; check the weights and the scale of "
                    "the inputs"
                )
        return LayerStatistics(self.name, self.count // self.samples, units, covariance)
