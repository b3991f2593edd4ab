"""Measure the whole pairing curve against one assignment of the same costs by minimum-cost flow.

    python benchmarks/pairing_curve_speed.py            # n = 1024, about a minute
    python benchmarks/pairing_curve_speed.py --side 256

Prints the ratio of the times (median of the repeats, run in turn) beside its limit of 10.
"""

import argparse
import statistics
import time

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers import Pairing, pairing_curve, solve

LIMIT = 10.0
REPEATS = 3


def instances(side: int) -> dict[str, NDArray[np.float64]]:
    """Return costs (side, side) of planted twins, of low-rank features and of pure noise."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(side, 16))
    twins = features[rng.permutation(side)] + 0.3 * rng.normal(size=features.shape)
    others = rng.normal(size=features.shape)
    return {
        "planted twins": ((features[:, None] - twins) ** 2).sum(axis=2),
        "low-rank features": ((features[:, None] - others) ** 2).sum(axis=2),
        "pure noise": rng.random((side, side)),
    }


def main() -> None:
    """Print one line for each kind of costs."""
    parser = argparse.ArgumentParser(description="the pairing curve against one minimum-cost flow")
    parser.add_argument("--side", type=int, default=1024, help="rows and columns of the costs")
    side = parser.parse_args().side
    print(f"pairing_curve, {side} x {side}, every number of pairs; limit {LIMIT:g} minimum-cost flows")
    for name, cost in instances(side).items():
        problem = Pairing(cost)
        curves, flows, difference = [], [], 0.0
        for _ in range(REPEATS):
            started = time.perf_counter()
            curve = pairing_curve(problem)
            curves.append(time.perf_counter() - started)
            flow = solve(problem, "min_cost_flow")
            flows.append(flow.build_seconds + flow.solve_seconds)
            difference = abs(float(curve.values[-1]) - flow.value) / abs(flow.value)
        ratios = [one / other for one, other in zip(curves, flows, strict=True)]
        print(
            f"  {name:18s} curve {statistics.median(curves):6.2f} s, flow {statistics.median(flows):5.2f} s, "
            f"ratio {statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f}), "
            f"values differ by {difference:.1e}"
        )


if __name__ == "__main__":
    main()
