"""Predicted against measured times of whole networks, small VGGs of several widths and shares.

    python benchmarks/latency_prediction.py [--batch 1] [--cache FOLDER]

One line a network and combination: predicted and measured milliseconds, and their ratio. All is timed by the processor
time of the one thread that runs, so that other work on the machine does not count.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from running_speed import SHAPE, half_shared

import pam_opt as pam
from pam_opt.latency import LayerShape, Machine, latency_costs, measure_profile
from pam_opt.latency.timing import median_seconds
from pam_opt.running import compile_combination
from pam_opt.tasks import combination_key

PARTS = (1.0, 0.5, 0.25)


def narrowed(network: pam.MultitaskNetwork, part: float) -> pam.MultitaskNetwork:
    """Build the same network with a part of every hidden group's units."""
    structure = network.structure
    hidden = [{group: max(1, round(part * n)) for group, n in widths.items()} for widths in structure.widths[:-1]]
    return pam.MultitaskNetwork(replace(structure, widths=(*hidden, structure.widths[-1]))).eval()


def timed(shape: LayerShape, batch: int, read: int, written: int) -> float:
    """Time a layer of random weights as the profile does, by another clock."""
    module, inputs = shape.module(read, written), shape.inputs(batch, read, written)
    with torch.inference_mode():
        return median_seconds(lambda: module(inputs), clock=time.thread_time)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--cache", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    whole = half_shared()
    profile = measure_profile(whole.structure, Machine.here(chosen.batch, 1), folder=chosen.cache, timer=timed)
    x = torch.randn(chosen.batch, *SHAPE)
    print(f"{'part':>5} {'tasks':>6} {'predicted ms':>13} {'measured ms':>12} {'ratio':>6}")
    for part in PARTS:
        network = narrowed(whole, part)
        for combination, seconds in latency_costs(network, profile).seconds.items():
            program = compile_combination(network, combination)
            with torch.inference_mode():
                measured = median_seconds(lambda program=program: program(x), clock=time.thread_time)
            shown = f"{1e3 * seconds:13.3f} {1e3 * measured:12.3f} {seconds / measured:6.2f}"
            print(f"{part:5g} {combination_key(combination):>6} {shown}")


if __name__ == "__main__":
    main()
