"""Speed and memory of PAM's regrouping: ``python benchmarks/regrouping_speed.py`` (about ten minutes on one core).

One layer, 128 samples, two tasks of five labels. Beside the regrouping stands, on the same activations, a plain
evaluation: every candidate's distances from the joint vectors anew, then the published formula. Times are processor
seconds on one thread, so that other work on the machine does not count. Names of single parts (``plain``,
``gaussian``, ``large``) on the command line run these only.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pam_opt.information import Estimator, GaussianInformation, KernelInformation
from pam_opt.information.regroup import GreedySet, greedy_set, groups_of_sets

SAMPLES, CLASSES, TASKS, RANK = 128, 5, 2, 24
NOISE, ALPHA = 0.1, 0.15
UNITS, SMALL, LARGE = 1024, 96, 8192
STEPS, CANDIDATES = 8, 24
"""Of the plain evaluation at full size: steps on which it is timed, and candidates at each."""


@dataclass(frozen=True)
class Layer:
    """Activations (B, N) float32 of two parents side by side, and (B, 5) labels of each task."""

    values: torch.Tensor
    labels: tuple[torch.Tensor, ...]


def made_up_layer(units: int, seed: int = 0) -> Layer:
    """Make units behind a ReLU that see few directions; half of them tell one task's classes apart, half the other's.

    Scales are log-normal and biases low, so that some units are dead and many fire on few samples.
    """
    generator = torch.Generator().manual_seed(seed)
    digits = torch.randint(0, TASKS * CLASSES, (SAMPLES,), generator=generator)
    values, labels = [], []
    for task in range(TASKS):
        classes = torch.where(digits // CLASSES == task, digits % CLASSES, CLASSES)  # the last = of another task
        means = torch.randn(CLASSES + 1, RANK, generator=generator)
        seen = means[classes] + 0.8 * torch.randn(SAMPLES, RANK, generator=generator)
        weights = torch.randn(RANK, units // TASKS, generator=generator) / RANK**0.5
        biases = torch.randn(units // TASKS, generator=generator) - 0.8
        scales = torch.exp(torch.randn(units // TASKS, generator=generator) - 2)
        values.append(torch.relu((seen @ weights + biases) * scales))
        labels.append(torch.nn.functional.one_hot(classes, CLASSES + 1)[:, :CLASSES].float())
    return Layer(torch.cat(values, dim=1), tuple(labels))


def plain_information(joint: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the kernel estimate by its formula: (B, D) joint vectors, (B, L) zeros and ones."""
    exponents = torch.cdist(joint, joint).square_().mul_(-0.5 / NOISE)

    def entropy(rows: torch.Tensor) -> torch.Tensor:
        """Return the bound on the entropy of some samples, without the terms in D, which cancel."""
        return np.log(len(rows)) - torch.logsumexp(exponents[rows][:, rows], dim=1).mean()

    everything = entropy(torch.arange(len(joint)))
    total = torch.zeros((), dtype=joint.dtype)
    for label in labels.T:
        parts = [(label == value).nonzero()[:, 0] for value in (0, 1)]
        total += everything - sum(len(rows) / len(label) * entropy(rows) for rows in parts if len(rows))
    return float(total)


def plain_values(layer: Layer, task: int, members: Sequence[int], candidates: Sequence[int]) -> list[float]:
    """Return the information with each candidate added."""
    values = layer.values.double()
    return [plain_information(values[:, [*members, unit]], layer.labels[task]) for unit in candidates]


def plain_set(layer: Layer, task: int) -> list[int]:
    """Grow a task's set as the pseudo-code says."""
    members, left = [], list(range(layer.values.shape[1]))
    while left:
        values = np.array(plain_values(layer, task, members, left))
        if values.min() > ALPHA:
            break
        members.append(left.pop(int(np.flatnonzero(values <= values.min() + 1e-9)[0])))
    return members


def plain_seconds(layer: Layer, task: int, order: Sequence[int]) -> float:
    """Estimate the processor seconds of `plain_set` along a known order, from some steps and candidates."""
    steps = np.linspace(0, len(order), STEPS).astype(int)
    units = layer.values.shape[1]
    each = []
    for step in steps:
        candidates = np.setdiff1d(np.arange(units), order[:step])
        some = candidates[np.linspace(0, len(candidates) - 1, CANDIDATES).astype(int)].tolist()
        each.append(processor_seconds(lambda s=step, c=some: plain_values(layer, task, order[:s], c))[0] / CANDIDATES)
    every = np.arange(len(order) + 1)
    return float((np.interp(every, steps, each) * (units - every)).sum())


def processor_seconds(call: Callable[[], object]) -> tuple[float, object]:
    """Return the processor time of one call, and its result."""
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def regroup(layer: Layer, kind: type[Estimator], alphas: Sequence[float], scan: str) -> tuple[float, list[GreedySet]]:
    """Return the processor seconds of one regrouping, estimator included, and the set of each task."""

    def run() -> list[GreedySet]:
        first = kind(layer.values, layer.labels[0], NOISE)
        growths = [first.for_labels(labels).grow() for labels in layer.labels]
        return [
            greedy_set(growth, range(layer.values.shape[1]), alpha, scan)
            for growth, alpha in zip(growths, alphas, strict=True)
        ]

    started = time.process_time()
    sets = run()
    return time.process_time() - started, sets


def groups(sets: Sequence[Sequence[int]], units: int) -> list[frozenset[int]]:
    """Return the tasks of every unit."""
    return groups_of_sets([list(members) for members in sets], units)


def described(sets: Sequence[GreedySet]) -> str:
    """Return what two sets took."""
    evaluations = sum(found.evaluations for found in sets)
    noticed = sum(found.noticed for found in sets)
    return f"sets of {[len(found.units) for found in sets]} units, {evaluations} evaluations, {noticed} falls noticed"


def compare_with_plain() -> None:
    """Print the ratio to the plain evaluation, and whether groups are the same."""
    layer = made_up_layer(SMALL, seed=1)
    seconds, expected = time.process_time(), [plain_set(layer, task) for task in range(TASKS)]
    seconds = time.process_time() - seconds
    for scan in ("lazy", "full"):
        took, sets = regroup(layer, KernelInformation, [ALPHA] * TASKS, scan)
        same = groups([found.units for found in sets], SMALL) == groups(expected, SMALL)
        print(f"{SMALL} units, plain in full {seconds:.1f} s: kde {scan} {took:.2f} s, same groups: {same}")
    layer = made_up_layer(UNITS)
    times, found = {}, {}
    for scan in ("lazy", "full"):
        times[scan], found[scan] = regroup(layer, KernelInformation, [ALPHA] * TASKS, scan)
        print(f"{UNITS} units, kde {scan}: {times[scan]:.1f} s, {described(found[scan])}", flush=True)
    same = [groups([one.units for one in found[scan]], UNITS) for scan in ("lazy", "full")]
    print(f"{UNITS} units, lazy and full scan give the same groups: {same[0] == same[1]}")
    plain = sum(plain_seconds(layer, task, found["full"][task].units) for task in range(TASKS))
    print(
        f"{UNITS} units, plain: {plain:.0f} s, from {CANDIDATES} candidates at {STEPS} evenly spread steps a task; "
        f"ratio to lazy {plain / times['lazy']:.0f} (limit 100), to full {plain / times['full']:.0f}",
        flush=True,
    )


def compare_with_gaussian() -> None:
    """Print how much faster `gaussian` is when it grows sets of the same sizes."""
    layer = made_up_layer(UNITS)
    kernel = {scan: regroup(layer, KernelInformation, [ALPHA] * TASKS, scan) for scan in ("lazy", "full")}
    sizes = [len(found.units) for found in kernel["full"][1]]
    alphas = [gaussian_value(layer, task, size) for task, size in enumerate(sizes)]
    gaussian = {scan: regroup(layer, GaussianInformation, alphas, scan) for scan in kernel}
    for name, found in (("kde", kernel), ("gaussian", gaussian)):
        for scan, (seconds, sets) in found.items():
            print(f"{UNITS} units, {name} {scan}: {seconds:.2f} s, {described(sets)}")
    ratios = {scan: kernel[scan][0] / gaussian[scan][0] for scan in kernel}
    fastest = [min(seconds for seconds, _ in found.values()) for found in (kernel, gaussian)]
    print(
        f"{UNITS} units, gaussian is faster than kde (limit 10): full scan of both {ratios['full']:.0f} times, lazy "
        f"scan of both {ratios['lazy']:.0f} times, the faster scan of each {fastest[0] / fastest[1]:.0f} times",
        flush=True,
    )


def gaussian_value(layer: Layer, task: int, size: int) -> float:
    """Return the information of the first `size` units that a greedy set takes."""
    growth = GaussianInformation(layer.values, layer.labels[task], NOISE).grow()
    for _ in range(size):
        values = growth.values()
        values[growth.members] = torch.inf
        growth.add(int(values.argmin()))
    return growth.value


def regroup_large() -> None:
    """Regroup the large layer, and print wall time and peak memory of this process."""
    torch.set_num_threads(2)
    started = time.perf_counter()
    seconds, sets = regroup(made_up_layer(LARGE), KernelInformation, [ALPHA] * TASKS, "lazy")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    wall = time.perf_counter() - started
    print(
        f"{LARGE} units, kde lazy: {wall:.0f} s on two threads (limit 600), {seconds:.0f} processor seconds, peak "
        f"{peak:.2f} GiB (limit 2), {described(sets)}"
    )


def in_a_child() -> None:
    """Run the large layer in a process of its own."""
    subprocess.run([sys.executable, __file__, "--large"], check=True)


PARTS: dict[str, Callable[[], None]] = {
    "plain": compare_with_plain,
    "gaussian": compare_with_gaussian,
    "large": in_a_child,
}

if __name__ == "__main__":
    if sys.argv[1:] == ["--large"]:
        regroup_large()
    else:
        torch.set_num_threads(1)
        for part in sys.argv[1:] or PARTS:
            PARTS[part]()
