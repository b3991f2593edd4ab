"""Speed and memory of measuring parents and building costs: ``python benchmarks/measuring_speed.py``.

Two parents with layers of 4096 units. Beside the time for all costs stands, in the same run, the time of the bare
matrix products that they need: both parents forward, their gradients at every unit, and the moments between the
parents. The second table holds peak memory against the number of batches, each in a process of its own.
"""

import itertools
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import pam_opt as pam
from pam_opt.families import mlp
from pam_opt.measuring import Statistics
from pam_opt.planning.clusters import unit_costs

WIDTHS = (4096, 4096, 4096)
INPUTS, OUTPUTS, BATCH, BATCHES, REPETITIONS = 784, 6, 256, 4, 3
TASKS = [pam.Task("a", classes=range(5)), pam.Task("b", classes=range(5, 10))]


def batches(count: int) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Make random calibration batches."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, OUTPUTS, (BATCH,), generator=generator)
    return [(torch.randn(BATCH, INPUTS, generator=generator), {"a": targets, "b": targets}) for _ in range(count)]


def build_costs(parents: dict[str, torch.nn.Module], calibration: list) -> Statistics:
    """Measure both parents and build the Fisher cost of every layer."""
    found = pam.measure(parents, calibration, tasks=TASKS)
    for layer in found.layers:
        unit_costs("fisher", layer, ("a", "b"), "a", "b")
    return found


def matrix_products(count: int) -> None:
    """Do the matrix products that `build_costs` needs, and nothing else."""
    sizes = [INPUTS, *WIDTHS, OUTPUTS]
    weights = [torch.randn(out, fan_in) for fan_in, out in itertools.pairwise(sizes)]
    values = [torch.randn(BATCH, size) for size in sizes]
    for _ in range(count):
        for _parent in TASKS:
            for index, weight in enumerate(weights):
                torch.mm(values[index], weight.T)
                if index > 0:
                    torch.mm(values[index + 1], weight)
        for index in range(1, len(WIDTHS) + 1):
            torch.mm(values[index].T, values[index])


def seconds(call: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_mebibytes(count: int) -> float:
    """Measure in a fresh process, and return its peak resident memory."""
    command = [sys.executable, __file__, "--memory", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print both tables."""
    torch.manual_seed(0)
    parents: dict[str, torch.nn.Module] = {name: mlp((INPUTS,), OUTPUTS, widths=WIDTHS).eval() for name in ("a", "b")}
    calibration = batches(BATCHES)
    build_costs(parents, calibration[:1])
    times = [
        (seconds(lambda: build_costs(parents, calibration)), seconds(lambda: matrix_products(BATCHES)))
        for _ in range(REPETITIONS)
    ]
    ours, products = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(f"layers {WIDTHS}, {BATCHES} batches of {BATCH}: all costs {ours:.2f} s, matrix products {products:.2f} s")
    print(f"ratio, median of {REPETITIONS}: {ratio:.2f} (limit 2)")
    print("\nbatches  peak memory MiB")
    for count in (2, 4, 8):
        print(f"{count:7d}  {peak_mebibytes(count):15.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        stream = batches(1) * int(sys.argv[2])
        build_costs({name: mlp((INPUTS,), OUTPUTS, widths=WIDTHS).eval() for name in ("a", "b")}, stream)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
