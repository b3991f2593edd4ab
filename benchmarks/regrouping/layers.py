"""Layers to be regrouped: hidden layers of pairs of trained parents, and synthetic ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pam_opt import Task, TrainOptions, train
from pam_opt.data import Batches, Dataset, Split
from pam_opt.families import FAMILIES
from pam_opt.information.responses import collect
from pam_opt.parents import convert_parents
from pam_opt.training import SingleTask

Floats = NDArray[np.float64]

TASKS = (Task("low", one_vs_rest=range(5)), Task("high", one_vs_rest=range(5, 10)))
"""Ten classes in two tasks, five binary labels each, as PAM's LeNet-5 study."""

SAMPLES = 128
EPOCHS = 20
BATCH = 64

NETWORKS = {
    "mlp 10-10": ("mlp", {"widths": (10, 10)}),
    "mlp 20-20": ("mlp", {"widths": (20, 20)}),
    "LeNet-5": ("lenet5", {}),
}


@dataclass(frozen=True)
class Layer:
    """Responses of the units of two parents to the same samples.

    Parameters
    ----------
    name : network and layer
    kind : ``conv2d`` or ``linear``
    values : (B, N) float64
    labels : (B, L) zeros and ones, one array a task
    """

    name: str
    kind: str
    values: Floats
    labels: tuple[Floats, ...]


def trained_layers(dataset: Dataset, network: str, seed: int) -> Iterator[Layer]:
    """Train two parents and yield their hidden layers, on samples of the test split."""
    family, options = NETWORKS[network]
    parents = {}
    for place, task in enumerate(TASKS):
        torch.manual_seed(2 * seed + place)
        module = FAMILIES[family](dataset.input_shape, task.outputs, **options)
        batches = _batches(dataset.train, seed)
        steps = min(EPOCHS * len(dataset.train), 40_000) // BATCH
        train(SingleTask(module, task.name), batches, [task], steps, TrainOptions(learning_rate=5e-3))
        parents[task.name] = module.eval()
    found = collect(convert_parents(parents), _batches(dataset.test, seed), TASKS, samples=SAMPLES)
    labels = tuple(found.labels[task.name].values.double().numpy() for task in TASKS)
    for layer in found.layers:
        yield Layer(f"{network} {layer.name}", layer.kind, layer.values.double().numpy(), labels)


def synthetic_layer(units: int, seed: int) -> Layer:
    """Return rectified mixtures of six noisy directions, along which ten classes differ."""
    rng = np.random.default_rng([units, seed])
    classes = np.arange(SAMPLES) % 10
    means = rng.normal(0.0, 1.0, (10, 6)) * np.array([1.0, 1.0, 0.5, 0.5, 0.25, 0.25])
    hidden = means[classes] + rng.normal(0.0, 0.7, (SAMPLES, 6))
    mixing = rng.normal(size=(6, units)) * (rng.random((6, units)) < 0.4) * rng.lognormal(-1.0, 0.7, units)
    values = np.maximum(hidden @ mixing + rng.normal(0.0, 0.1, units), 0.0)
    labels = tuple((classes[:, None] == np.array(task.one_vs_rest)).astype(float) for task in TASKS)
    return Layer(f"synthetic {units}", "linear", values, labels)


def _batches(split: Split, seed: int) -> Batches:
    return Batches(split, {t.name: t.target(split.labels) for t in TASKS}, BATCH, seed=seed, shuffle=True)
