"""Measured time of a pruned merged network against the separately pruned parents, beside the ratio of their MACs.

    python benchmarks/latency.py [--family resnet20] [--width 0.5] [--threads 2] [--rounds 15] [--clock wall]

Two parents of random weights; each is pruned alone to a part of its MACs, and so is the network that they are merged
into (pairing, refit). Both sides run as `pam_opt.compiled` networks; separate parents run one after the other. In every
round both sides run in turn, first one then the other, and the ratio of their times counts; a line gives the median
over the rounds. The quotient of both ratios should be at most 1.25 at batch 32; at batch 1 the merged network should
take no longer than the parents where two or more tasks run.

The clock is the ``wall``, or the ``processor`` time of all threads together, which other work on the machine disturbs
less; with one thread that is the latency on a machine that has nothing else to do.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

import pam_opt as pam
from pam_opt.families import resnet20, small_vgg
from pam_opt.tasks import Group, combination_key

SHAPE = (3, 32, 32)
CLASSES = 5
LIMIT = 1.25
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}

FAMILIES: Mapping[str, Callable[[float], nn.Module]] = {
    "resnet20": lambda width: resnet20(SHAPE, CLASSES, width=width),
    "small_vgg": lambda width: small_vgg(
        SHAPE,
        CLASSES,
        widths=[round(width * units) for units in (32, 32, 64, 64, 128, 128)],
        linear=round(width * 128),
    ),
}

Batches = list[tuple[Tensor, dict[str, Tensor]]]
Run = Callable[[], object]


def prepared(
    family: str, width: float, share: float, part: float
) -> tuple[dict[str, pam.MultitaskNetwork], pam.MultitaskNetwork]:
    """Return the pruned parents, and the pruned merged network, by magnitude and without fine-tuning."""
    tasks = [pam.Task(name, classes=range(CLASSES)) for name in "ab"]
    modules = {task.name: FAMILIES[family](width).eval() for task in tasks}
    data: Batches = [(torch.randn(64, *SHAPE), {task.name: torch.randint(CLASSES, (64,)) for task in tasks})]
    plan = pam.plan(modules, data, tasks=tasks, cost="weights", share=share)
    merged = pam.merge(modules, plan, calibration=data)
    parents = {task.name: pruned(pam.single(modules[task.name], task), [task], data, part) for task in tasks}
    return parents, pruned(merged, tasks, data, part)


def pruned(network: pam.MultitaskNetwork, tasks: list[pam.Task], data: Batches, part: float) -> pam.MultitaskNetwork:
    """Take units until a part of E[C] is left."""
    goal = part * pam.costs(network, SHAPE).expected
    schedule = pam.Schedule(max_drop=None, target_macs=goal, fraction=0.9, steps=0)
    return pam.prune(network, data, data, tasks=tasks, method="magnitude", schedule=schedule)


def median_times(merged: Run, separate: Run, clock: str, rounds: int, least: float) -> tuple[float, float, float]:
    """Time both sides in turn: the medians of their seconds, and the median of the rounds' ratios."""
    runs = _runs(separate, least)
    taken: list[tuple[float, float]] = []
    for number in range(rounds):
        order = (merged, separate) if number % 2 else (separate, merged)
        times = {run: _seconds(run, runs, CLOCKS[clock]) for run in order}
        taken.append((times[merged], times[separate]))
    one, two = (statistics.median(times) for times in zip(*taken, strict=True))
    return one, two, statistics.median(one / two for one, two in taken)


def _seconds(run: Run, runs: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(runs):
        run()
    return (clock() - started) / runs


def _runs(run: Run, least: float) -> int:
    """Warm up, and say how many runs take the least seconds."""
    run()
    return max(1, round(least / min(_seconds(run, 1, time.perf_counter) for _ in range(3))))


def compare(
    parents: Mapping[str, pam.CompiledNetwork], merged: pam.CompiledNetwork, combination: Group, x: Tensor
) -> tuple[Run, Run]:
    """Name what is timed: the merged network, and the parents one after the other."""
    alone = [parents[task] for task in sorted(combination)]
    return partial(merged, x, combination), lambda: [parent(x) for parent in alone]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=list(FAMILIES), default="resnet20")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=1.0, help="of the possible pairs of units that merge")
    parser.add_argument("--part", type=float, default=0.5, help="of the MACs that pruning leaves")
    parser.add_argument("--threads", type=int, default=2, help="that torch uses, at most those of the machine")
    parser.add_argument("--call-macs", type=float, default=0.0, help="MACs that one call less is worth")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--least-seconds", type=float, default=0.02, help="of each side in a round")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    chosen = parser.parse_args()
    torch.set_num_threads(min(chosen.threads, os.cpu_count() or 1))
    torch.manual_seed(0)
    parents, merged = prepared(chosen.family, chosen.width, chosen.share, chosen.part)
    macs = pam.costs(merged, SHAPE).macs
    alone = {task: pam.costs(parent, SHAPE).expected for task, parent in parents.items()}
    fast = pam.compiled(merged, call_macs=chosen.call_macs)
    each = {task: pam.compiled(parent) for task, parent in parents.items()}
    print(f"{chosen.family}, width {chosen.width:g}, {torch.get_num_threads()} threads, {chosen.clock} time")
    print(f"{'batch':>5} {'tasks':>6} {'merged ms':>10} {'separate ms':>12} {'times':>6} {'MACs':>6} {'quotient':>9}")
    with torch.inference_mode():
        for batch in (1, 32):
            x = torch.randn(batch, *SHAPE)
            for combination in macs:
                sides = compare(each, fast, combination, x)
                one, two, ratio = median_times(*sides, chosen.clock, chosen.rounds, chosen.least_seconds)
                expected = macs[combination] / sum(alone[task] for task in combination)
                shown = f"{1e3 * one:10.2f} {1e3 * two:12.2f} {ratio:6.2f} {expected:6.2f} {ratio / expected:9.2f}"
                held = ratio <= 1 if batch == 1 else ratio / expected <= LIMIT
                missed = "" if held or (batch == 1 and len(combination) < 2) else "  above its limit"
                print(f"{batch:5} {combination_key(combination):>6} {shown}{missed}")


if __name__ == "__main__":
    main()
