"""Recovery of planted permutations: ``python benchmarks/joint_pairing_recovery.py`` (two minutes).

For every family of instances and every solver of the joint pairing: in how many of fifty seeds it finds the
planted permutations of all layers, in how many it ends no worse than them (under noise another decision may
be better), and its mean seconds. The limits: all chains, and 45 of 50 residual streams of widths 30 to 64.
Then, on small residual nets, what is proven optimal and how fast.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from instances._planted_layers import Planted, planted_chain, planted_residual

from pam_opt_solvers import SolverUnsuitable, Status, solve

SEEDS = 50
BLOCKS = 3
PROOFS = 3
PROOF_LIMIT = 20.0
PROOF_WIDTHS = (4, 6, 8, 16, 30)
PROOF_SOLVERS = ("lagrangian", "math_opt:highs")
SOLVERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("greedy", {}),
    ("coordinate_descent", {"starts": "1"}),
    ("coordinate_descent", {"starts": "10"}),
    ("frank_wolfe:barycentre", {"starts": "1"}),
    ("frank_wolfe", {"starts": "1"}),
    ("frank_wolfe", {}),
)


@dataclass(frozen=True)
class Family:
    """Instances of one kind, and how many of them the best solver must recover (0 = no limit)."""

    name: str
    make: Callable[[int], Planted]
    limit: int


def widths(least: int, most: int) -> list[int]:
    """Return a width for every seed, evenly spread."""
    return np.linspace(least, most, SEEDS).round().astype(int).tolist()


def chain(noise: float) -> Callable[[int], Planted]:
    """Return the maker of chains: 10 inputs, four hidden layers, 10 outputs."""
    return lambda seed: planted_chain((10, *[widths(8, 64)[seed]] * 4, 10), noise, seed)


def convolutions(noise: float) -> Callable[[int], Planted]:
    """Return the maker of chains of 3 x 3 convolutions: 3 inputs, four hidden layers, 10 outputs."""
    return lambda seed: planted_chain((3, *[widths(8, 64)[seed]] * 4, 10), noise, seed, area=9)


def residual(noise: float, widening: int = 1, ends: tuple[int, int] = (0, 0)) -> Callable[[int], Planted]:
    """Return the maker of residual nets."""
    return lambda seed: planted_residual(widths(30, 64)[seed], BLOCKS, noise, seed, widening=widening, ends=ends)


FAMILIES = (
    Family("chain, widths 8-64, no noise", chain(0.0), SEEDS),
    Family("chain, widths 8-64, noise 0.25", chain(0.25), SEEDS),
    Family("3 x 3 convolutions, widths 8-64, noise 0.25", convolutions(0.25), SEEDS),
    Family("residual, 10 inputs and outputs, widths 30-64, noise 0.5", residual(0.5, ends=(10, 10)), 45),
    Family("residual, 3 inputs, hidden twice as wide, widths 30-64, noise 0.5", residual(0.5, 2, (3, 0)), 45),
    Family("residual, free ends, widths 30-64, no noise", residual(0.0), 45),
    Family("residual, free ends, widths 30-64, noise 0.5", residual(0.5), 45),
    Family("residual, free ends, widths 30-64, noise 1", residual(1.0), 45),
    Family("residual, free ends, widths 30-64, noise 1.5", residual(1.5), 0),
)


def recovery(family: Family, solver: str, options: dict[str, str]) -> tuple[int, int, float]:
    """Return the number of seeds recovered, that of seeds no worse than planted, and the mean seconds."""
    found = equal = 0
    started = time.perf_counter()
    outside = 0.0
    for seed in range(SEEDS):
        began = time.perf_counter()
        planted = family.make(seed)
        value = planted.problem.value(planted.decision)
        outside += time.perf_counter() - began
        solution = solve(planted.problem, solver, seed=seed, options=options)
        assert solution.decision is not None
        found += bool((solution.decision == planted.decision).all())
        equal += bool(solution.value <= value * (1 + 1e-12))
    return found, equal, (time.perf_counter() - started - outside) / SEEDS


def lines(family: Family) -> Iterator[str]:
    """Yield a line of the table for every solver."""
    for solver, options in SOLVERS:
        found, equal, seconds = recovery(family, solver, options)
        starts = options.get("starts", "")
        name = f"{solver}{f', {starts} start' + 's' * (starts != '1') if starts else ''}"
        yield f"  {name:36} {found:3} of {SEEDS}   {equal:3} no worse   {seconds:7.4f} s"


def proofs(width: int, solver: str) -> str:
    """Return a line on how many of a few noisy residual nets a solver proves optimal, and its gap and seconds."""
    problems = [planted_residual(width, 1, 0.5, seed).problem for seed in range(PROOFS)]
    try:
        solutions = [solve(problem, solver, time_limit=PROOF_LIMIT) for problem in problems]
    except SolverUnsuitable:
        return "takes no problem of this size"
    proven = sum(solution.status is Status.OPTIMAL for solution in solutions)
    gap = max(float(np.nan_to_num(solution.gap, nan=np.inf)) for solution in solutions)
    seconds = float(np.mean([solution.build_seconds + solution.solve_seconds for solution in solutions]))
    return f"{proven} of {PROOFS} proven, largest gap {gap:.2g}, {seconds:6.2f} s"


if __name__ == "__main__":
    for family in FAMILIES:
        limit = f"limit {family.limit} of {SEEDS}" if family.limit else "no limit"
        print(f"\n{family.name}   ({limit} for frank_wolfe)", flush=True)
        for line in lines(family):
            print(line, flush=True)
    print(f"\nresidual, free ends, one block, noise 0.5: proofs of optimality within {PROOF_LIMIT:g} s")
    for width in PROOF_WIDTHS:
        for name in PROOF_SOLVERS:
            print(f"  width {width:2} {name:16} {proofs(width, name)}", flush=True)
