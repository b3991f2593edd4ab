"""Representatives against their limits: ``python benchmarks/representatives_speed.py`` (two minutes and a half).

Costs are ``c_uj = F_u var_u (1 - rho_uj^2)``: importance times what unit j leaves unexplained of unit u. Planted twins,
low-rank features and pure noise differ in how the features correlate; *uniform* costs have no structure at all, are
far harder than any layer, and are shown without a limit. One thread.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers import Representatives, Solution, representatives_curve, solve

Matrix = NDArray[np.float64]

LARGE, LARGE_KEPT = 1024, 256
SECONDS, LARGEST_GAP = 60.0, 0.001
SMALL, SMALL_KEPT, SMALL_SECONDS = 128, (64, 32), 1.0
PROVERS = ("lagrangian", "scipy_milp", "math_opt")
CURVE_COUNTS, CURVE_SECONDS = 32, 60.0


def unexplained(activations: Matrix, rng: np.random.Generator) -> Matrix:
    """Return ``F_u var_u (1 - rho_uj^2)`` of activations (samples, n), importance F log-normal."""
    variance = activations.var(axis=0)
    cost = (rng.lognormal(0.0, 1.0, len(variance)) * variance)[:, None] * (
        1 - np.corrcoef(activations, rowvar=False) ** 2
    )
    np.fill_diagonal(cost, 0.0)
    return np.maximum(cost, 0.0)


def planted(size: int, rng: np.random.Generator) -> Matrix:
    """Return costs of noisy copies of ``size / 4`` features."""
    base = rng.standard_normal((512, size // 4))
    copies = base[:, rng.permutation(size) % (size // 4)] + 0.5 * rng.standard_normal((512, size))
    return unexplained(copies * rng.lognormal(0.0, 0.3, size), rng)


def low_rank(size: int, rng: np.random.Generator) -> Matrix:
    """Return costs of rectified mixtures of 16 features."""
    mixed = np.maximum(rng.standard_normal((512, 16)) @ rng.standard_normal((16, size)), 0.0)
    return unexplained(mixed + 0.3 * rng.standard_normal((512, size)), rng)


def noise(size: int, rng: np.random.Generator) -> Matrix:
    """Return costs of independent features that correlate by chance only."""
    return unexplained(rng.standard_normal((64, size)), rng)


def uniform(size: int, rng: np.random.Generator) -> Matrix:
    """Return costs without any structure."""
    cost = rng.random((size, size))
    np.fill_diagonal(cost, 0.0)
    return cost


FAMILIES: dict[str, Callable[[int, np.random.Generator], Matrix]] = {
    "planted": planted,
    "low rank": low_rank,
    "noise": noise,
    "uniform": uniform,
}


def problem_of(family: str, size: int, n_kept: int) -> Representatives:
    """Return the instance of a family; the same at every call."""
    return Representatives(FAMILIES[family](size, np.random.default_rng(0)), n_kept)


def seconds_of(solution: Solution) -> float:
    """Return build and solve time together."""
    return solution.build_seconds + solution.solve_seconds


def verdict(holds: bool) -> str:
    """Return how a target was met."""
    return "met" if holds else "MISSED"


def print_large() -> None:
    """Print gap and time of the large problems, and the value beside greedy and swaps."""
    print(f"{LARGE} units to {LARGE_KEPT}, at most {SECONDS:g} s, limit of the gap {LARGEST_GAP:.1%}")
    for family in FAMILIES:
        problem = problem_of(family, LARGE, LARGE_KEPT)
        control, greedy, swaps = (solve(problem, solver) for solver in ("importance", "greedy", "swaps"))
        best = solve(problem, "lagrangian", time_limit=SECONDS)
        holds = best.gap <= LARGEST_GAP and best.value <= swaps.value
        text = verdict(holds) if family != "uniform" else "no target"
        print(
            f"  {family:9} gap {best.gap:8.5%} in {seconds_of(best):5.1f} s {best.status.name:10} {text:9}"
            f"  above it: swaps {swaps.value / best.value - 1:7.4%} ({seconds_of(swaps):.2f} s),"
            f" greedy {greedy.value / best.value - 1:7.4%} ({seconds_of(greedy):.2f} s),"
            f" importance {control.value / best.value - 1:7.3%}",
            flush=True,
        )


def print_small() -> None:
    """Print the time to a proof of the small problems."""
    print(f"\n{SMALL} units, proved optimal, limit {SMALL_SECONDS:g} s")
    for family, n_kept in ((family, n_kept) for family in FAMILIES for n_kept in SMALL_KEPT):
        problem = problem_of(family, SMALL, n_kept)
        cells = []
        for solver in PROVERS:
            solution = solve(problem, solver, time_limit=30.0)
            holds = solution.status.proven and seconds_of(solution) <= SMALL_SECONDS
            text = verdict(holds) if family != "uniform" else ""
            cells.append(f"{solver} {seconds_of(solution):5.2f} s {solution.status.name} {text}")
        print(f"  {family:9} to {n_kept}: " + ", ".join(cells), flush=True)


def print_curve() -> None:
    """Print the gaps of a curve over many counts."""
    counts = range(LARGE // CURVE_COUNTS, LARGE + 1, LARGE // CURVE_COUNTS)
    curve = representatives_curve(problem_of("low rank", LARGE, 1), counts, time_limit=CURVE_SECONDS)
    worst = int(np.argmax(curve.gaps))
    assert math.isfinite(curve.gaps[worst])
    print(
        f"\nlow rank, {LARGE} units, {len(counts)} counts in at most {CURVE_SECONDS:g} s: "
        f"median gap {np.median(curve.gaps):.5%}, widest {curve.gaps[worst]:.4%} at {curve.counts[worst]} units"
    )


if __name__ == "__main__":
    print_large()
    print_small()
    print_curve()
