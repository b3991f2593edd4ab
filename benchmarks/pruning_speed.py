"""Training steps while pruning beside plain ones: ``python benchmarks/pruning_speed.py``.

Two parents side by side, all units shared: LeNet-5 of twice the width on MNIST-sized images, and a small VGG on
CIFAR-sized ones. VIB: a step with gates and their penalty. Taylor: a step with its share of the scoring, 30
mini-batches for every 100 steps, the default schedule. Every repetition times all of them one after the other;
ratios are medians of ratios within a repetition.
"""

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

import pam_opt as pam
from pam_opt.families import FAMILIES
from pam_opt.pruning.taylor import Taylor, TaylorSample
from pam_opt.pruning.vib import Vib

NETWORKS: dict[str, tuple[tuple[int, ...], Mapping[str, Sequence[int]], int]] = {
    "lenet5": ((1, 28, 28), {}, 128),
    "small_vgg": ((3, 32, 32), {"widths": (8, 8, 16, 16, 32, 32)}, 32),
}
TASKS = [pam.Task("a", classes=range(5)), pam.Task("b", classes=range(5, 10))]
STEPS, SCORED, SCHEDULE_STEPS, REPETITIONS, LIMIT = 6, 4, 100, 7, 1.3


def seconds(call: Callable[[], object], count: int) -> float:
    """Return the wall time of one of `count` things that a call does."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) / count


def all_shared(name: str) -> tuple[pam.MultitaskNetwork, list]:
    """Build the network and the one batch that is trained on again and again."""
    shape, options, size = NETWORKS[name]
    parents = {task.name: FAMILIES[name](shape, 6, **options) for task in TASKS}
    batch = (torch.randn(size, *shape), {task.name: torch.randint(0, 6, (size,)) for task in TASKS})
    plan = pam.plan(parents, [batch], tasks=TASKS, problem="all-shared")
    network = pam.merge(parents, plan, weights="side_by_side")
    network.structure = replace(network.structure, input_shape=shape)
    return network, [batch]


def measure(name: str) -> dict[str, list[float]]:
    """Time steps of every kind, in seconds."""
    plain, batches = all_shared(name)
    options = pam.TrainOptions(1e-4, schedule="constant")
    vib = Vib()
    gated = vib.start(copy.deepcopy(plain))
    times: dict[str, list[float]] = {"plain": [], "vib": [], "taylor": [], "taylor-sample": []}
    for _ in range(REPETITIONS + 1):
        step = seconds(lambda: pam.train(plain, batches, TASKS, STEPS, options), STEPS)
        times["plain"].append(step)
        times["vib"].append(seconds(lambda: vib.train(gated, batches, TASKS, STEPS, options), STEPS))
        for kind, pruner in (("taylor", Taylor()), ("taylor-sample", TaylorSample())):
            scoring = seconds(partial(pruner.scores, plain, batches * SCORED, TASKS), SCORED)
            times[kind].append(step + scoring * 30 / SCHEDULE_STEPS)
    return {name: values[1:] for name, values in times.items()}


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"milliseconds a step, medians of {REPETITIONS}; ratios to a plain step (limit {LIMIT})")
    for name in NETWORKS:
        times = measure(name)
        for kind, values in times.items():
            ratio = statistics.median(a / b for a, b in zip(values, times["plain"], strict=True))
            print(f"{name:10s} {kind:14s} {1e3 * statistics.median(values):8.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
