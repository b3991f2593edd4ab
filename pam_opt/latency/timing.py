"""Time a module: the median of repeated runs behind a warm-up."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import torch


def median_seconds(
    run: Callable[[], object],
    *,
    repeats: int = 15,
    least_seconds: float = 2e-4,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Time a function: the median of `repeats` timings, each of as many runs as take `least_seconds`."""
    run()
    started = clock()
    run()
    once = max(clock() - started, 1e-7)
    runs = max(1, round(least_seconds / once))
    taken = []
    for _ in range(repeats):
        started = clock()
        for _ in range(runs):
            run()
        taken.append((clock() - started) / runs)
    return statistics.median(taken)


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
