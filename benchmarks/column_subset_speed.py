"""Speed of column subset selection: ``python benchmarks/column_subset_speed.py`` (about a minute).

Greedy selection of 1024 of 4096 units must cost at most three passes over the Gram matrix per kept unit, a pass being
one ``gram @ vector``, timed before and after greedy in the same process. Then, on layers small enough for a proof, what
greedy and swaps lose against the optimum, and how long each takes.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from pam_opt_solvers import ColumnSubset, Solution, solve

UNITS, KEPT, LIMIT = 4096, 1024, 3.0
PRODUCTS = 25
SMALL = ((16, 8), (24, 6), (24, 12), (32, 8), (32, 16))
PROOF_SECONDS = 20.0
Features = Callable[[np.random.Generator, int], np.ndarray]

FAMILIES: dict[str, Features] = {
    "noise": lambda rng, n: rng.normal(size=(4 * n, n)),
    "twins": lambda rng, n: np.tile(rng.normal(size=(4 * n, n // 2)), 2) + 0.1 * rng.normal(size=(4 * n, n)),
    "low rank": lambda rng, n: low_rank(rng, 4 * n, n, n // 3) + 0.3 * rng.normal(size=(4 * n, n)),
}


def low_rank(rng: np.random.Generator, samples: int, n: int, rank: int) -> np.ndarray:
    """Return ``(samples, n)`` features of the given rank."""
    return rng.normal(size=(samples, rank)) @ rng.normal(size=(rank, n))


def layer(features: np.ndarray, n_kept: int, rng: np.random.Generator) -> ColumnSubset:
    """Return the problem of keeping ``n_kept`` units with these outputs and random importances."""
    return ColumnSubset(features.T @ features / len(features), n_kept, rng.random(features.shape[1]))


def product_seconds(matrix: np.ndarray) -> list[float]:
    """Return the times of a few matrix-vector products."""
    vector, times = np.ones(len(matrix)), []
    for _ in range(PRODUCTS):
        started = time.perf_counter()
        _ = matrix @ vector
        times.append(time.perf_counter() - started)
    return times


def print_ratio() -> None:
    """Print the time of greedy in passes per kept unit, with its limit."""
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    features = low_rank(rng, UNITS, UNITS, 256) + rng.normal(size=(UNITS, UNITS))
    problem = layer(features, KEPT, rng)
    print(f"{UNITS} units, keep {KEPT}; features, Gram matrix and its checks in {time.perf_counter() - started:.1f} s")
    _ = product_seconds(problem.gram)
    products = product_seconds(problem.gram)
    started = time.perf_counter()
    solution = solve(problem, "greedy")
    seconds = time.perf_counter() - started
    product = statistics.median(products + product_seconds(problem.gram))
    passes = seconds / KEPT / product
    reference = f"({KEPT} x {1e3 * product:.2f} ms)"
    print(f"  greedy {seconds:.2f} s / {reference} = {passes:.2f} passes per kept unit (limit {LIMIT})")
    started = time.perf_counter()
    bound = problem.spectral_bound()
    print(f"  value {solution.value:.6g}, spectral bound {bound:.6g} in {time.perf_counter() - started:.1f} s")


def loss(solution: Solution, best: Solution) -> str:
    """Return in percent how far a value is above the best known one, with its time."""
    return f"{100 * (solution.value / best.value - 1):7.2f} % {1e3 * solution.solve_seconds:7.1f} ms"


def print_table() -> None:
    """Print what heuristics lose against the optimum on small layers."""
    print(f"\n{'family':9} {'keep':>9}   {'importance':>20} {'greedy':>20} {'swaps':>20}   branch and bound")
    for family, features in FAMILIES.items():
        for n, n_kept in SMALL:
            rng = np.random.default_rng(1)
            problem = layer(features(rng, n), n_kept, rng)
            best = solve(problem, "branch_and_bound", time_limit=PROOF_SECONDS)
            losses = " ".join(f"{loss(solve(problem, name), best):>20}" for name in ("importance", "greedy", "swaps"))
            proof = f"{best.status.name} gap {100 * best.gap:.2g} %, {best.solve_seconds:.2f} s, {best.run.note}"
            print(f"{family:9} {n_kept:>3} of {n:<3}   {losses}   {proof}", flush=True)


if __name__ == "__main__":
    print_ratio()
    print_table()
