"""What units answer to samples: activations of all parents' units side by side, and the labels of the same samples."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pam_opt.data import checked
from pam_opt.errors import DataError, UnsupportedModel
from pam_opt.information.labels import Labels, labels_of
from pam_opt.network import MultitaskNetwork, channel_axis
from pam_opt.structure import Layer
from pam_opt.tasks import Task
from pam_opt.training import Batches, evaluation_mode

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda maps: maps.amax(dim=2),
    "mean": lambda maps: maps.mean(dim=2),
    "flatten": lambda maps: maps,
}
"""From maps (B, N, P) to what stands for a unit: its highest value as published, its mean, or all P positions."""

_ACTIVATIONS = frozenset(
    ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "softplus", "tanh", "sigmoid")
)


@dataclass(frozen=True, eq=False)
class Responses:
    """Hold the activations of one layer.

    Parameters
    ----------
    name : the layer's name
    kind : ``conv2d`` or ``linear``
    values : (B, N) or, for maps that are not pooled, (B, N, P) float32, the units of all parents side by side,
        parent after parent, behind the non-linearity
    owner : (N,) int64, the index of the task whose parent has the unit
    """

    name: str
    kind: str
    values: Tensor
    owner: np.ndarray


@dataclass(frozen=True, eq=False)
class Collected:
    """Hold what information is estimated from.

    Parameters
    ----------
    layers : the `Responses` of every hidden layer, in order
    labels : task -> `Labels` of the same samples
    input_shape : shape of one sample
    seconds : wall time
    """

    layers: tuple[Responses, ...]
    labels: Mapping[str, Labels]
    input_shape: tuple[int, ...]
    seconds: float

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(next(iter(self.labels.values())).values)


@torch.no_grad()
def collect(
    parents: Mapping[str, MultitaskNetwork],
    calibration: Batches,
    tasks: Sequence[Task],
    *,
    samples: int = 128,
    pooling: str = "max",
    labels: str = "binary",
) -> Collected:
    """Run the first samples through all parents and keep what every hidden unit answers.

    Activations are taken behind the non-linearity of a layer, in front of pooling that follows it, in evaluation
    mode; where several layers write the same units, behind the last of them. Memory is
    ``4 x samples x units`` bytes of all layers together, times the positions with ``flatten``.

    Parameters
    ----------
    parents : task -> network of one task
    calibration : re-iterable batches (x, {task name: target}); a target of binary labels may hold NaN for missing
    samples : how many of them, from the first on; all, where there are fewer
    pooling : how a map becomes one value of a convolution's unit, a name in `POOLINGS`
    labels : ``binary`` or ``joint``, see `labels_of`

    Raises
    ------
    DataError : batches or targets that do not fit
    PlanError : a task of which the samples hold one class only
    UnsupportedModel : activations that are not finite; names parent and layer
    """
    started, names, shape = time.perf_counter(), [task.name for task in tasks], ()
    kept: list[list[Tensor]] = []
    targets: dict[str, list[Tensor]] = {name: [] for name in names}
    left = samples
    with evaluation_mode(*parents.values()):
        for x, given in checked(calibration, names, what="calibration", missing=True):
            taken, shape = x[:left], tuple(x.shape[1:])
            kept.append(_pooled(parents, taken, pooling))
            for name in names:
                targets[name].append(given[name][:left])
            left -= len(taken)
            if left <= 0:
                break
    spaces = next(iter(parents.values())).structure.spaces
    layers = tuple(
        _responses(parents, space, torch.cat(values))
        for space, values in zip(spaces, zip(*kept, strict=True), strict=True)
    )
    columns = {task.name: labels_of(task, _joined(task.name, targets[task.name]), labels) for task in tasks}
    return Collected(layers, columns, shape, time.perf_counter() - started)


def _joined(task: str, parts: Sequence[Tensor]) -> Tensor:
    """Put the targets of all batches into one tensor."""
    shapes = sorted({tuple(part.shape[1:]) for part in parts})
    if len(shapes) > 1:
        raise DataError(f"task {task!r}: its targets have shapes {shapes} behind the samples; give one shape")
    return torch.cat(list(parts))


def _pooled(parents: Mapping[str, MultitaskNetwork], x: Tensor, pooling: str) -> list[Tensor]:
    """Return for every hidden layer (B, N) or (B, N, P) of one batch, the parents side by side."""
    each = [_activations(task, parent, x) for task, parent in parents.items()]
    joined = [torch.cat(maps, dim=1).float() for maps in zip(*each, strict=True)]
    return [maps[:, :, 0] if maps.shape[2] == 1 else POOLINGS[pooling](maps) for maps in joined]


def _activations(task: str, parent: MultitaskNetwork, x: Tensor) -> list[Tensor]:
    """Return the activations of every hidden layer of one parent, (B, units, P)."""
    structure, group = parent.structure, frozenset({task})
    last = {max(structure.tied(space)): space for space in structure.spaces}
    values, found = parent.enter(x), {}
    for index, layer in enumerate(structure.layers[:-1]):
        if index in last:
            block, end = parent.block(index, group), _activation_end(layer)
            signal = block.post[:end](block.pre(parent.inputs_of(index, group, values)))
            if not torch.isfinite(signal).all():
                raise UnsupportedModel(
                    f"parent {task!r}: activations of layer {layer.name!r} hold NaN or infinite values; check the "
                    "weights and the scale of the inputs"
                )
            # A flatten in front of the non-linearity leaves the positions of a unit beside each other.
            signal = signal.transpose(1, -1) if channel_axis(layer) == -1 else signal
            found[last[index]] = signal.reshape(len(x), structure.widths[index][group], -1)
        values = parent.advance(index, values)
    return [found[space] for space in structure.spaces]


def _activation_end(layer: Layer) -> int:
    """Count the operations up to and with the first non-linearity; 0 if there is none."""
    places = [place for place, operation in enumerate(layer.post) if operation.kind in _ACTIVATIONS]
    return places[0] + 1 if places else 0


def _responses(parents: Mapping[str, MultitaskNetwork], index: int, values: Tensor) -> Responses:
    layer = next(iter(parents.values())).structure.layers[index]
    units = [parent.structure.widths[index][frozenset({task})] for task, parent in parents.items()]
    return Responses(layer.name, layer.kind, values, np.repeat(np.arange(len(units)), units))
