"""Speed of the pairing solvers: ``python benchmarks/pairing_speed.py`` (about a minute).

Two ratios that must stay small, as medians of interleaved repetitions so that a busy machine disturbs both sides alike,
and a table of all solvers on small problems. Times include reading, checking and recomputing, not importing.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from pam_opt_solvers import Pairing, Solution, available, solve

SIDE = 2048
REPETITIONS = 7
TABLE_SIDES = (64, 256)
TABLE_LIMIT = 6.0


def seconds(call: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float, float]:
    """Return the medians of both in seconds and of their ratios, after one call of each that does not count."""
    ours()
    theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(REPETITIONS)]
    ratio = statistics.median(a / b for a, b in times)
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), ratio


def print_ratios() -> None:
    """Print the two ratios with their limits."""
    cost = np.random.default_rng(0).random((SIDE, SIDE))
    rows = [
        ("hungarian / scipy", "hungarian", lambda: linear_sum_assignment(cost), 1.3),
        ("greedy / argsort", "greedy", lambda: np.argsort(cost, axis=None), 1.5),
    ]
    print(f"{SIDE} x {SIDE}, uniform costs, medians of {REPETITIONS} interleaved runs")
    for label, name, reference, limit in rows:
        ours, theirs, ratio = compare(lambda name=name: solve(Pairing(cost), name), reference)
        print(f"  {label:18} {ours:7.3f} s / {theirs:7.3f} s = {ratio:5.2f}   (limit {limit})")


def describe(solution: Solution) -> str:
    """Return value, build and solve time of one run in a few words."""
    times = f"build {solution.build_seconds:8.4f} s, solve {solution.solve_seconds:8.4f} s"
    return f"{solution.status.name:16} value {solution.value:9.5f}   {times}"


def print_table() -> None:
    """Print one run of every solver per size, under a time limit."""
    names = [
        f"{i.name}:{e}" if e else i.name for i in available("pairing") if i.available for e in (i.engines or ("",))
    ]
    for side in TABLE_SIDES:
        print(f"\n{side} x {side}, uniform costs, at most {TABLE_LIMIT:g} s each")
        problem = Pairing(np.random.default_rng(1).random((side, side)))
        for name in names:
            print(f"  {name:20} {describe(solve(problem, name, time_limit=TABLE_LIMIT))}", flush=True)


if __name__ == "__main__":
    print_ratios()
    print_table()
