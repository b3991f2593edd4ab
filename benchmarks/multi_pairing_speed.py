"""Speed of merging three parents: ``python benchmarks/multi_pairing_speed.py`` (up to 25 minutes; ``--skip-plain``: 5).

For each family of instances, on one thread:

- n = 64: column generation proves the optimum; beside it one plain set-partitioning MILP of all n^3 clusters in
  ``scipy.optimize.milp``, stopped at ``--plain-limit`` seconds. Limit: half of its time, or of that limit.
- n = 256: column generation for ``--limit`` seconds; its gap to its own bound, beside the family's limit and the gap of
  cyclic re-matching to the same bound.

Times include building and checking. Set ``OMP_NUM_THREADS=1`` where numpy would use more threads.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from instances._clusters import Cost, low_rank, noise, planted
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from pam_opt_solvers import MultiPairing, Solution, Status, solve

PARENTS = 3


FAMILIES: dict[str, tuple[Callable[[int, np.random.Generator], Cost], float]] = {
    "planted twins": (planted, 0.005),
    "low-rank features": (low_rank, 0.008),
    "pure noise": (noise, 0.15),
}
"""Name to generator and the limit of the gap at n = 256."""


def instance(make: Callable[[int, np.random.Generator], Cost], n: int, seed: int) -> MultiPairing:
    """Return an instance of n units of each parent."""
    return MultiPairing(make(n, np.random.default_rng(seed)), np.full(PARENTS, n))


def plain_milp(problem: MultiPairing, limit: float) -> tuple[float, str]:
    """Solve one set-partitioning MILP of all clusters; return its seconds and how it ended."""
    started = time.perf_counter()
    n = int(problem.sizes[0])
    i, j, k = (part.reshape(-1) for part in np.indices((n, n, n)))
    cost = problem.cost[i, n + j] + problem.cost[i, 2 * n + k] + problem.cost[n + j, 2 * n + k]
    rows, columns = np.concatenate([i, n + j, 2 * n + k]), np.tile(np.arange(n**3), 3)
    matrix = coo_array((np.ones(len(rows)), (rows, columns)), shape=(3 * n, n**3)).tocsr()
    ones = np.ones(n**3)
    found = milp(
        cost,
        integrality=ones,
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, 1.0, 1.0),
        options={"time_limit": limit, "mip_rel_gap": 0.0},
    )
    ended = f"optimal, {found.fun:.6f}" if found.status == 0 else "not proved" + (
        "" if found.fun is None else f", {found.fun:.6f}"
    )  # fmt: skip
    return time.perf_counter() - started, ended


def timed(problem: MultiPairing, solver: str, limit: float) -> tuple[Solution, float]:
    """Return a solution and its wall time."""
    started = time.perf_counter()
    return solve(problem, solver, time_limit=limit), time.perf_counter() - started


def print_proofs(n: int, seed: int, plain_limit: float, skip_plain: bool) -> None:
    """Print the time of proofs beside the plain MILP's."""
    print(f"n = {n}, proved optimal; limit: half the time of the plain MILP")
    for name, (make, _) in FAMILIES.items():
        problem = instance(make, n, seed)
        solution, ours = timed(problem, "column_generation", plain_limit)
        proof = "optimal" if solution.status is Status.OPTIMAL else f"NOT PROVED (gap {solution.gap:.2%})"
        line = f"  {name:18} {ours:7.2f} s {proof}, {solution.value:.6f}"
        if not skip_plain:
            theirs, ended = plain_milp(problem, plain_limit)
            within = solution.status is Status.OPTIMAL and ours <= theirs / 2
            line += (
                f" / plain {theirs:7.1f} s {ended} = {ours / theirs:.3f} (limit 0.5: {'met' if within else 'MISSED'})"
            )
        print(line, flush=True)


def print_gaps(n: int, seed: int, limit: float) -> None:
    """Print the gaps that are left at the time limit."""
    print(f"\nn = {n}, gap to its own bound after at most {limit:g} s")
    for name, (make, most) in FAMILIES.items():
        problem = instance(make, n, seed)
        solution, seconds = timed(problem, "column_generation", limit)
        cyclic = solve(problem, "cyclic", time_limit=limit)
        reference = (cyclic.value - solution.bound) / cyclic.value
        verdict = "met" if solution.gap <= most else "MISSED"
        print(
            f"  {name:18} {solution.gap:8.3%} (limit {most:.1%}: {verdict}) in {seconds:5.1f} s, "
            f"value {solution.value:.5f}, bound {solution.bound:.5f}; cyclic re-matching {reference:.3%}",
            flush=True,
        )


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=64, help="units of each parent of the instances to prove")
    parser.add_argument("--large", type=int, default=256, help="units of each parent of the instances under the limit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a large instance")
    parser.add_argument("--plain-limit", type=float, default=400.0, help="seconds for the plain MILP")
    parser.add_argument("--skip-plain", action="store_true", help="do not run the plain MILP")
    chosen = parser.parse_args()
    print_proofs(chosen.small, chosen.seed, chosen.plain_limit, chosen.skip_plain)
    print_gaps(chosen.large, chosen.seed, chosen.limit)


if __name__ == "__main__":
    main()
