"""Quality of network plans against time: ``python benchmarks/network_plan_speed.py`` (about two minutes).

Two parents of the shape of a 16-layer VGG with widths to 4096, so up to 4097 numbers of shared units a layer. Every
solver gets 60 s on one thread; the limits are a gap under 1 % and no plan worse than greedy's.
"""

import argparse
import time

import numpy as np
from instances._layer_chains import VGG_16, Chain

from pam_opt_solvers import NetworkPlan, Solution, network_frontier, solve

SECONDS = 60.0
MOST_GAP = 0.01


def vgg(seed: int, part: float, cut: float, minimise_macs: bool) -> NetworkPlan:
    """Return a plan of two parents.

    Parameters
    ----------
    part : budget, between nothing spent (0) and everything shared (losses) or nothing shared (MACs) (1)
    cut : importance of the edges that the lattice cuts, relative to the loss of merging
    """
    chain = Chain.draw(VGG_16, cut, np.random.default_rng(seed))
    return chain.within_loss(part) if minimise_macs else chain.within_macs(part)


SOLVERS = ("uniform", "greedy", "lagrangian", "branch_and_bound")
CASES = {
    "least MACs, loss 10 %": (0, 0.1, 0.0, True),
    "least MACs, loss 30 %, cut edges": (1, 0.3, 1.0, True),
    "least loss, MACs 50 %": (2, 0.5, 0.0, False),
    "least loss, MACs 30 %, cut edges": (3, 0.3, 1.0, False),
}


def line(solution: Solution, greedy: float) -> str:
    """Return value, distance from greedy, gap and time of one run."""
    change = 100 * (solution.value / greedy - 1)
    seconds = solution.build_seconds + solution.solve_seconds
    words = f"{solution.value:14.8g}  {change:+8.3f} % of greedy's  gap {100 * solution.gap:9.3g} %"
    return f"{words}  {seconds:6.2f} s  {solution.status.name}"


def run(name: str, arguments: tuple[int, float, float, bool], seconds: float) -> tuple[float, bool]:
    """Print all solvers on one case; return the gap of branch and bound and whether it is no worse than greedy."""
    problem = vgg(*arguments)
    print(f"\n{name}: {problem!r}")
    found = {solver: solve(problem, solver, time_limit=seconds) for solver in SOLVERS}
    for solver, solution in found.items():
        print(f"  {solver:17} {line(solution, found['greedy'].value)}", flush=True)
    best = found["branch_and_bound"]
    return best.gap, best.value <= found["greedy"].value


def main() -> None:
    """Print every case, the limits, and a frontier."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for every solver")
    seconds = parser.parse_args().seconds
    results = [run(name, arguments, seconds) for name, arguments in CASES.items()]
    print(
        f"\nbranch_and_bound: largest gap {100 * max(gap for gap, _ in results):.3g} %   (limit {100 * MOST_GAP:g} %)"
    )
    print(f"never worse than greedy: {'yes' if all(good for _, good in results) else 'NO'}   (must be yes)")
    started = time.perf_counter()
    frontier = network_frontier(vgg(*CASES["least MACs, loss 10 %"]), points=33)
    took = time.perf_counter() - started
    print(f"frontier: {len(frontier.loss)} plans in {took:.2f} s, largest gap {100 * frontier.gaps.max():.3g} %")


if __name__ == "__main__":
    main()
