"""Ways to run a half-shared network: the network itself, its compact programs, and the parents one after the other.

    python benchmarks/running_speed.py

One line a batch size and way: milliseconds of both tasks, of one task, and the MACs of both. Every round runs all ways,
one after the other, on one thread; the median of that thread's processor time counts, so that other work does not.
"""

import copy
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import inf

import torch
from torch import Tensor

import pam_opt as pam
from pam_opt.families import small_vgg
from pam_opt.running import Program, compile_combination, program_macs
from pam_opt.tracing import network_of

SHAPE = (3, 32, 32)
ROUNDS = 20


def half_shared() -> pam.MultitaskNetwork:
    """Build two small VGGs of which half of every layer's units are shared; random weights."""
    parent = network_of(small_vgg(SHAPE, 6), "a", SHAPE).structure
    widths = []
    for layer in parent.widths[:-1]:
        (units,) = layer.values()
        half = units // 2
        widths.append({frozenset("ab"): half, frozenset("a"): half, frozenset("b"): half})
    heads = {frozenset("a"): 6, frozenset("b"): 6}
    return pam.MultitaskNetwork(replace(parent, tasks=("a", "b"), widths=(*widths, heads))).eval()


def medians(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Time all ways in turn; milliseconds of processor time."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            started = time.thread_time()
            run()
            taken[name].append(1e3 * (time.thread_time() - started))
    return {name: statistics.median(times[3:]) for name, times in taken.items()}


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    network, parents = half_shared(), [compile_combination(network_of(small_vgg(SHAPE, 6), t, SHAPE)) for t in "ab"]
    options = {"program": 0.0, "joined below 2e5 MACs": 2e5, "joined below 2e6 MACs": 2e6, "one call a layer": inf}
    both = {name: compile_combination(network, call_macs=macs) for name, macs in options.items()}
    alone = {name: compile_combination(network, ["a"], call_macs=macs) for name, macs in options.items()}
    for batch in (1, 32):
        x = torch.randn(batch, *SHAPE)
        two = medians(ways_to_run(network, both, ["a", "b"], parents, x))
        one = medians(ways_to_run(network, alone, ["a"], parents[:1], x))
        print(f"batch {batch}: ms of both, ms of one, MACs of both in millions")
        for name in two:
            shown = parents if "parents" in name else [both.get(name, both["program"])]
            macs = sum(program_macs(program, SHAPE) for program in shown)
            print(f"  {name:28} {two[name]:8.2f} {one[name]:8.2f} {macs / 1e6:8.1f}")


def ways_to_run(
    network: pam.MultitaskNetwork, programs: Mapping[str, Program], tasks: list[str], parents: list[Program], x: Tensor
) -> dict[str, Callable[[], object]]:
    """Name what is timed."""
    laid_out = copy.deepcopy(programs["program"]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last = x.to(memory_format=torch.channels_last)
    return {
        "network": lambda: network(x, tasks),
        **{name: partial(program, x) for name, program in programs.items()},
        "program, channels last": lambda: laid_out(last),
        "parents one after the other": lambda: [parent(x) for parent in parents],
    }


if __name__ == "__main__":
    main()
