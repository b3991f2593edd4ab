"""Representatives whose optimum is known: by brute force over all sets of kept units and all assignments."""

import itertools

import numpy as np

from pam_opt_solvers import Quota, Representatives

INF = np.inf
LINE = np.abs(np.subtract.outer([0.0, 1.0, 10.0, 11.0, 12.0], [0.0, 1.0, 10.0, 11.0, 12.0]))
"""Two clusters on a line: {0, 1} and {2, 3, 4}; the best two kept units cost 1 + 2."""

FEASIBLE = {
    "line": (Representatives(LINE, 2), 3.0),
    "capacities": (Representatives(LINE, 2, capacities=[5, 5, 5, 1, 5]), 4.0),
    "forbidden": (Representatives(LINE, 2, forbidden=[False, False, False, True, False]), 4.0),
    "groups": (Representatives(LINE, 2, groups=[0, 0, 0, 1, 1]), 11.0),
    "most of a class": (Representatives(LINE, 2, quotas=Quota([0, 0, 1, 2, 1], most=[1, 2, 0])), 4.0),
    "two quotas": (
        Representatives(LINE, 2, quotas=(Quota([0, 0, 1, 1, 1], least=[2, 0]), Quota([0, 0, 1, 1, 1]))),
        30.0,
    ),
    "at most": (Representatives(LINE, 4, at_most=True), 1.0),
    "at most, fewer are cheaper": (Representatives(LINE + 20 * np.eye(5), 4, at_most=True), 42.0),
    "nothing": (Representatives(np.zeros((0, 0)), 0), 0.0),
    "one": (Representatives(np.array([[2.0]]), 1), 2.0),
    "all kept": (Representatives(LINE, 5), 0.0),
    "ties": (Representatives(1 - np.eye(6), 2), 4.0),
    "all zero": (Representatives(np.zeros((6, 6)), 2), 0.0),
    "negative": (Representatives(LINE - 7, 2), -32.0),
    "tiny": (Representatives(LINE * 1e-300, 2), 3e-300),
    "huge": (Representatives(LINE * 1e298, 2), 3e298),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "nothing kept": Representatives(LINE, 0),
    "all forbidden": Representatives(LINE, 2, forbidden=[True] * 5),
    "nobody stands for another": Representatives(np.where(np.eye(4, dtype=bool), 0.0, INF), 3),
    "quota": Representatives(LINE, 3, quotas=Quota([0, 0, 1, 1, 1], least=2)),
    "capacities": Representatives(LINE, 2, capacities=[1] * 5),
    "three groups, two kept": Representatives(LINE, 2, groups=[0, 1, 2, 2, 2]),
}
"""Name to problem without any decision."""


def best_value(problem: Representatives) -> float:
    """Return the optimum by trying every set of kept units; +inf = no decision."""
    counts = range(problem.n_kept + 1) if problem.at_most else [problem.n_kept]
    return min(
        (_best_of(problem, kept) for p in counts for kept in itertools.combinations(range(problem.size), p)),
        default=INF,
    )


def _best_of(problem: Representatives, kept: tuple[int, ...]) -> float:
    if any(quota.violations(np.array(kept, np.int64)) for quota in problem.quotas):
        return INF
    costs = problem.permitted
    others = [unit for unit in range(problem.size) if unit not in kept]
    if others and not kept:
        return INF
    paid = sum(costs[unit, unit] for unit in kept)
    if problem.capacities is None:
        return paid + sum(min(costs[unit, r] for r in kept) for unit in others)
    best = INF
    for chosen in itertools.product(kept, repeat=len(others)):
        if all(chosen.count(r) <= problem.capacities[r] for r in kept):
            best = min(best, sum(costs[u, r] for u, r in zip(others, chosen, strict=True)))
    return paid + best


def random_problem(rng: np.random.Generator, largest: int = 6) -> Representatives:
    """Return a tiny problem with every option on or off by chance: ties, negative and forbidden costs included."""
    size = int(rng.integers(1, largest + 1))
    cost = rng.integers(-2, 9, (size, size)).astype(float) if rng.random() < 0.5 else rng.random((size, size))
    if rng.random() < 0.5:
        np.fill_diagonal(cost, 0.0)
    if rng.random() < 0.4:
        cost[rng.random((size, size)) < 0.25] = INF
    options = {
        "at_most": bool(rng.random() < 0.3),
        "capacities": rng.integers(0, size + 1, size) if rng.random() < 0.3 else None,
        "groups": rng.integers(0, 2, size) if rng.random() < 0.2 else None,
        "forbidden": rng.random(size) < 0.2 if rng.random() < 0.3 else None,
        "quotas": tuple(_random_quota(rng, size) for _ in range(int(rng.choice([0, 0, 1, 1, 2])))),
    }
    return Representatives(cost, int(rng.integers(rng.random() > 0.05, size + 1)), **options)


def _random_quota(rng: np.random.Generator, size: int) -> Quota:
    labels = rng.integers(0, 3, size)
    least = (rng.random(3) < 0.3).astype(np.int64)
    return Quota(labels, least, least + rng.integers(0, 4, 3))
