"""Tiny random parents of every family, data for them, and networks on random lattices, shared by the tests."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.families import FAMILIES
from pam_opt.tracing import network_of

NAMES = ("mlp", "lenet_300_100", "lenet5", "small_vgg")
"""The families that most tests run over: chains, small enough for it."""

SHAPES = {
    "mlp": (1, 4, 4),
    "lenet_300_100": (1, 4, 4),
    "lenet5": (1, 8, 8),
    "small_vgg": (2, 8, 8),
    "vgg11": (2, 32, 32),
    "vgg16": (2, 32, 32),
    "resnet18": (2, 8, 8),
    "resnet20": (2, 8, 8),
    "mobilenet_v2": (2, 8, 8),
    "vit": (2, 8, 8),
}
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"widths": (9, 7)},
    "lenet_300_100": {},
    "lenet5": {"widths": (4, 6, 10, 8)},
    "small_vgg": {"widths": (4, 5, 6, 6), "linear": 9},
    "vgg11": {"widths": (3, 4, 5, 6, 5, 4, 6, 5), "linear": (7, 6)},
    "vgg16": {"widths": (3, 4, 5, 4, 5, 4, 6, 5, 4, 6, 5, 4, 6), "linear": (7,), "dropout": 0.5},
    "resnet18": {"widths": (4, 6, 5, 8)},
    "resnet20": {"widths": (4, 5, 6)},
    "mobilenet_v2": {"widths": (4, 3, 4, 3, 5, 4, 5, 4, 9)},
    "vit": {"width": 8, "heads": 2, "hidden": 9, "depth": 2},
}
WIDE: dict[str, dict[str, Any]] = {
    "mlp": {"widths": (8, 11)},
    "lenet_300_100": {},
    "lenet5": {"widths": (5, 7, 9, 11)},
    "small_vgg": {"widths": (6, 4, 7, 8), "linear": 7},
    "vgg11": {"widths": (4, 3, 5, 7, 5, 5, 6, 6), "linear": (6, 8)},
    "vgg16": {"widths": (4, 3, 5, 5, 5, 4, 7, 5, 5, 6, 5, 5, 7), "linear": (8,), "dropout": 0.5},
    "resnet18": {"widths": (5, 4, 7, 6)},
    "resnet20": {"widths": (5, 4, 7)},
    "mobilenet_v2": {"widths": (5, 4, 3, 4, 4, 5, 4, 5, 8)},
    "vit": {"width": 12, "heads": 3, "hidden": 7, "depth": 2},
}

Data = list[tuple[Tensor, dict[str, Tensor]]]


def random_parent(family: str, seed: int = 0, outputs: int = 3, *, wide: bool = False) -> nn.Module:
    """Build a parent with random weights and random batch-norm statistics; `wide` gives other widths."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = FAMILIES[family](SHAPES[family], outputs, **(WIDE if wide else SMALL)[family])
        randomise_norms(module)
    return module.eval()


def randomise_norms(module: nn.Module) -> None:
    """Give batch norms statistics and weights as training might; some weights are negative."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(0.0, 0.3)
            norm.running_var.uniform_(0.2, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            with torch.no_grad():
                norm.weight[::3] *= -1
            nn.init.normal_(norm.bias, 0.2, 0.3)


def make_tasks(count: int, outputs: int | Sequence[int] = 3) -> list[pam.Task]:
    """Define tasks a, b, c, ... whose heads have so many outputs."""
    sizes = [outputs] * count if isinstance(outputs, int) else outputs
    return [pam.Task(name, classes=range(size - 1)) for name, size in zip("abcdef"[:count], sizes, strict=True)]


def make_data(
    shape: Sequence[int], tasks: Sequence[pam.Task], sizes: Sequence[int] = (24, 24, 16), seed: int = 0
) -> Data:
    """Draw batches of normal inputs with random targets."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, *shape, generator=generator),
            {task.name: torch.randint(task.outputs, (size,), generator=generator) for task in tasks},
        )
        for size in sizes
    ]


def members(layer: pam.LayerPlan) -> np.ndarray:
    """Return the unit of each parent that has a share in each merged unit, (n, K); -1 for none."""
    result = np.full((len(layer.groups), len(layer.places)), -1)
    for column, (places, shares) in enumerate(zip(layer.places, layer.shares, strict=True)):
        units = np.flatnonzero(shares > 0)
        result[places[units], column] = units
    return result


def group(key: str) -> frozenset[str]:
    """Return the group of tasks named by single letters."""
    return frozenset(key)


def merged_example(
    family: str,
    count: int,
    *,
    seed: int = 0,
    weights: str = "average",
    problem: str = "pairing",
    share: float | Mapping[str, float] = 1.0,
    sizes: Sequence[int] = (24, 24, 16),
) -> pam.MultitaskNetwork:
    """Merge `count` random parents by a plan, or convert the one."""
    tasks = make_tasks(count)
    if count == 1:
        return pam.single(random_parent(family, seed), tasks[0], SHAPES[family]).eval()
    parents = {task.name: random_parent(family, seed + index) for index, task in enumerate(tasks)}
    data = make_data(SHAPES[family], tasks, sizes, seed)
    plan = pam.plan(parents, data, tasks=tasks, problem=problem, share=share)
    return pam.merge(parents, plan, weights=weights, calibration=data)  # type: ignore[arg-type]


def random_lattice(family: str, tasks: Sequence[str], seed: int) -> pam.MultitaskNetwork:
    """Build a network with random numbers of units in random groups of every hidden layer, and random weights."""
    rng = np.random.default_rng(seed)
    traced = network_of(random_parent(family), tasks[0], SHAPES[family]).structure
    every = [frozenset(c) for k in range(1, len(tasks) + 1) for c in itertools.combinations(tasks, k)]
    heads = {frozenset({task}): 2 + index for index, task in enumerate(tasks)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        while True:
            hidden = [
                {g: int(rng.integers(1, 5)) for g in every if rng.random() < 0.6} for _ in range(len(traced.layers) - 1)
            ]
            try:
                network = pam.MultitaskNetwork(replace(traced, tasks=tuple(tasks), widths=(*hidden, heads)))
            except PlanError:
                continue
            randomise_norms(network)
            return network.eval()


def counted_macs(network: pam.MultitaskNetwork, x: Tensor, tasks: frozenset[str]) -> float:
    """Count the MACs of a run as torch sees them; its counter sees attention only as two matrix products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x, tasks=tasks)
    return counter.get_total_flops() / 2


def assert_costs(network: pam.MultitaskNetwork, x: Tensor) -> None:
    """The costs of every combination are what torch counts for one sample."""
    for combination, macs in pam.costs(network).macs.items():
        assert macs == counted_macs(network, x[:1], combination)


def assert_outputs(network: pam.MultitaskNetwork, x: Tensor, outputs: Mapping[str, Tensor]) -> None:
    """A network gives these outputs, within 1e-4."""
    with torch.no_grad():
        found = network(x)
    for task, output in outputs.items():
        torch.testing.assert_close(found[task], output, atol=1e-4, rtol=1e-4)


def permuted_copy(module: nn.Sequential, seed: int) -> tuple[nn.Sequential, list[np.ndarray]]:
    """Copy a chain with all hidden units in another order; the function stays.

    Returns
    -------
    copy, orders : for each hidden layer the unit of `module` that stands at each place of the copy
    """
    rng = np.random.default_rng(seed)
    result = copy.deepcopy(module)
    layers = [child for child in result if isinstance(child, nn.Linear | nn.Conv2d)]
    orders: list[np.ndarray] = []
    with torch.no_grad():
        for child in result:
            if isinstance(child, nn.Linear | nn.Conv2d):
                if orders:
                    _permute_inputs(child, orders[-1])
                if child is not layers[-1]:
                    orders.append(rng.permutation(len(child.weight)))
                    _permute_units(child, orders[-1])
            elif isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                _permute_units(child, _blocks(orders[-1], child.num_features))
    return result, orders


def _permute_inputs(layer: nn.Linear | nn.Conv2d, order: np.ndarray) -> None:
    columns = order if isinstance(layer, nn.Conv2d) else _blocks(order, layer.in_features)
    layer.weight.copy_(layer.weight[:, columns].clone())


def _permute_units(module: nn.Module, order: np.ndarray) -> None:
    for tensor in module.state_dict().values():
        if tensor.ndim:
            tensor.copy_(tensor[order].clone())


def _blocks(order: np.ndarray, values: int) -> np.ndarray:
    """Spread an order of units over the block of values that each of them has behind a flatten."""
    size = values // len(order)
    return (order[:, None] * size + np.arange(size)).reshape(-1)


def pre_activation_names(module: nn.Sequential) -> list[str]:
    """Name the children whose outputs are the pre-activations of the hidden layers."""
    children = list(module.named_children())
    names = []
    for (name, child), (behind, following) in itertools.pairwise(children):
        if isinstance(child, nn.Linear | nn.Conv2d):
            names.append(behind if isinstance(following, nn.BatchNorm1d | nn.BatchNorm2d) else name)
    return names


def stepwise(module: nn.Sequential, x: Tensor, gates: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Run a chain child by child, multiplying outputs by gates (N, units); return every child's output."""
    outputs = {}
    for name, child in module.named_children():
        x = child(x)
        if gates and name in gates:
            x = x * gates[name].reshape(*gates[name].shape, *[1] * (x.ndim - 2))
        outputs[name] = x
    return outputs


def prune(network, train, validation, **options):
    """Prune with the fields of a `Schedule` given beside the other options."""
    names = {field.name for field in fields(pam.Schedule)} & set(options)
    schedule = pam.Schedule(**{name: options.pop(name) for name in names})
    return pam.prune(network, train, validation, schedule=schedule, **options)
