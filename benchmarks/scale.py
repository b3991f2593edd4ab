"""Merging of large networks, stage by stage: ``python benchmarks/scale.py``.

Two VGG-16 (138 million weights each) or four ResNet-18, random weights, images of 224 x 224, 64 for calibration; all
units shared, at the width of one parent, with refit. Every configuration runs in a process of its own, so that peak
memory is its own. Beside measuring and refit stands, in the same run, the time of the bare matrix products that they
need: one sample of each shape is timed and counted as often as it is needed.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

import pam_opt as pam
from pam_opt.families import FAMILIES
from pam_opt.macs import output_positions
from pam_opt.merging.rows import rows_per_sample
from pam_opt.structure import Structure
from pam_opt.tracing import network_of

CONFIGURATIONS = {"vgg16": (2, {"linear": (4096, 4096), "dropout": 0.5}), "resnet18": (4, {"imagenet": True})}
SAMPLES, OUTPUTS = 64, 10


def parents_of(name: str, size: int) -> dict[str, nn.Module]:
    """Build the parents with random weights."""
    count, options = CONFIGURATIONS[name]
    torch.manual_seed(0)
    return {f"task{k}": FAMILIES[name]((3, size, size), OUTPUTS, **options).eval() for k in range(count)}


def products(structure: Structure, shape: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """List (rows for one sample, input values, output channels) of the dense layers of a network of one task."""
    (group,) = ({task} for task in structure.tasks)
    for index, layer in enumerate(structure.layers):
        if layer.is_dense:
            width = structure.units(index, frozenset(group)) * layer.size
            values = structure.fan_in(index, frozenset(group)) * layer.kernel_area
            yield output_positions(structure, shape)[index], values, width


def seconds(call: Callable[[], object], repetitions: int = 3) -> float:
    """Return the median wall time of a call."""
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def product(rows: int, inner: int, columns: int, repetitions: int = 3) -> float:
    """Time one matrix product, (rows, inner) by (inner, columns)."""
    left, right = torch.ones(rows, inner), torch.ones(inner, columns)
    return seconds(lambda: torch.mm(left, right), repetitions)


def forward_limit(shapes: list[tuple[int, int, int]]) -> float:
    """Time the matrix products of one sample through one network."""
    return sum(product(rows, values, width) for rows, values, width in shapes)


def moments_limit(shapes: list[tuple[int, int, int]]) -> float:
    """Time the products of the rows of all samples by themselves, as refit needs them: inputs by inputs."""
    chosen = [(min(rows, rows_per_sample(values, SAMPLES)), values) for rows, values, _ in shapes]
    return SAMPLES * sum(product(values, rows, values, 1) for rows, values in chosen if rows * SAMPLES >= values)


def covariance_limit(shapes: list[tuple[int, int, int]], pairs: int) -> float:
    """Time the products of the units of two parents, as measuring needs them."""
    return SAMPLES * pairs * sum(product(width, rows, width) for rows, _, width in shapes)


def run(name: str, size: int, batch: int) -> None:
    """Run all stages and print their times."""
    shape = (3, size, size)
    parents, generator = parents_of(name, size), torch.Generator().manual_seed(1)
    tasks = [pam.Task(task, classes=range(OUTPUTS - 1)) for task in parents]
    calibration = []
    for _ in range(SAMPLES // batch):
        targets = torch.randint(0, OUTPUTS, (batch,), generator=generator)
        calibration.append((torch.randn(batch, *shape, generator=generator), dict.fromkeys(parents, targets)))
    stages: dict[str, float] = {}

    def stage(what: str, call: Callable[[], object]) -> object:
        started = time.perf_counter()
        result = call()
        stages[what] = time.perf_counter() - started
        print(f"{what}: {stages[what]:.1f} s", flush=True)
        return result

    structures = stage("trace", lambda: [network_of(module, task, shape).structure for task, module in parents.items()])
    structure: Structure = structures[0]  # type: ignore[index]
    found = stage("measure", lambda: pam.measure(parents, calibration, tasks=tasks))
    plan = stage("plan", lambda: pam.plan(parents, tasks=tasks, statistics=found))  # type: ignore[arg-type]
    merged = stage("merge with refit", lambda: pam.merge(parents, plan, calibration=calibration))  # type: ignore[arg-type]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    shapes, count = list(products(structure, shape)), len(parents)
    forward = forward_limit(shapes) * SAMPLES
    measuring = 2 * count * forward + covariance_limit(shapes, count * (count - 1) // 2)
    refit = (count + 1) * forward + moments_limit(shapes)
    weights = sum(p.numel() for p in next(iter(parents.values())).parameters())
    costs = pam.costs(merged)  # type: ignore[arg-type]
    print(f"{count} x {name}, {weights / 1e6:.0f} million weights each, {SAMPLES} images of {size} x {size}")
    print(f"in all {sum(stages.values()):.0f} s (limit 900), peak memory {peak:.1f} GiB (limit 16)")
    for what, took, limit in (("measure", stages["measure"], measuring), ("refit", stages["merge with refit"], refit)):
        print(f"{what} / its matrix products: {took:.0f} s / {limit:.0f} s = {took / limit:.2f}")
    print(f"all tasks cost {max(costs.macs.values()):,} MACs, one {min(costs.macs.values()):,}")


def main() -> None:
    """Run every configuration in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=list(CONFIGURATIONS), help="one of them; default: all")
    parser.add_argument("--size", type=int, default=224, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=8, help="images in a batch")
    parser.add_argument("--alone", action="store_true", help="run in this process")
    options = parser.parse_args()
    for name in [options.family] if options.family else CONFIGURATIONS:
        if options.alone:
            run(name, options.size, options.batch)
            continue
        command = [
            sys.executable,
            __file__,
            "--family",
            name,
            "--alone",
            f"--size={options.size}",
            f"--batch={options.batch}",
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
