"""Instances of `MultiPairing` for the tests: known optima, random tiny ones of every kind, and an oracle."""

import itertools
import math

import numpy as np

from pam_opt_solvers import MultiPairing

INF = np.inf
PLACES = np.array([0.0, 5.0, 5.1, 0.1, 0.2, 5.2])
LINE = np.abs(np.subtract.outer(PLACES, PLACES))
"""Two clusters of three on a line: the first, fourth and fifth unit, and the others; 0.4 each."""


def blocked() -> np.ndarray:
    """Return costs of three parents of three, of which two units need the same one: no line of the matrix shows it."""
    cost = np.ones((9, 9))
    for u, v in itertools.product((0, 1), (4, 5)):
        cost[u, v] = cost[v, u] = INF
    return cost


def _forbidden_twins() -> np.ndarray:
    cost = LINE.copy()
    cost[0, 3] = cost[3, 0] = INF
    return cost


FEASIBLE = {
    "twins": (MultiPairing(LINE, [2, 2, 2]), 0.8),
    "twins, dear to be single": (MultiPairing(LINE, [2, 2, 2], np.full(6, 2.0)), 0.8),
    "single for free": (MultiPairing(LINE, [2, 2, 2], np.zeros(6)), 0.0),
    "unequal parents": (MultiPairing(LINE, [1, 2, 3]), 10.0),
    "forbidden twins": (MultiPairing(_forbidden_twins(), [2, 2, 2]), 20.2),
    "two parents": (MultiPairing(LINE, [3, 3]), 5.0),
    "two parents, within": (MultiPairing(LINE, [3, 3], within=True), 5.0),
    "three parents, within": (MultiPairing(LINE, [1, 1, 4], within=True), 0.8),
    "four parents": (MultiPairing(LINE, [1, 1, 2, 2]), 15.1),
    "nothing": (MultiPairing(np.zeros((0, 0)), [0, 0, 0]), 0.0),
    "no units of one parent": (MultiPairing(LINE, [3, 0, 3]), 0.0),
    "one": (MultiPairing(np.full((3, 3), 0.5), [1, 1, 1]), 1.5),
    "one unit": (MultiPairing(np.ones((1, 1)), [1, 0, 0], np.array([3.0])), 3.0),
    "ties": (MultiPairing(np.ones((12, 12)), [4, 4, 4]), 12.0),
    "ties, free to merge": (MultiPairing(np.zeros((9, 9)), [3, 3, 3], np.ones(9)), 0.0),
    "all forbidden": (MultiPairing(np.full((6, 6), INF), [2, 2, 2], np.full(6, 1.5)), 9.0),
    "tiny": (MultiPairing(LINE * 1e-300, [2, 2, 2]), 0.8e-300),
    "huge": (MultiPairing(LINE * 1e298, [2, 2, 2]), 0.8e298),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "all forbidden": MultiPairing(np.full((6, 6), INF), [2, 2, 2]),
    "all forbidden, two parents": MultiPairing(np.full((6, 6), INF), [3, 3]),
    "two need the same": MultiPairing(blocked(), [3, 3, 3]),
}
"""Name to problem without any decision."""


def symmetric(rng: np.random.Generator, n_units: int) -> np.ndarray:
    """Return a random symmetric matrix: whole numbers with ties half of the time."""
    cost = rng.integers(-3, 7, (n_units, n_units)) * 1.0 if rng.random() < 0.5 else rng.normal(size=(n_units, n_units))
    return np.triu(cost) + np.triu(cost, 1).T


def random_problem(seed: int, *, parents: tuple[int, ...] = (2, 3, 4), most_units: int = 7) -> MultiPairing:
    """Return a tiny problem of any kind: sizes from 0, ties, forbidden pairs, singles, within, scales."""
    rng = np.random.default_rng(seed)
    n_parents = int(rng.choice(parents))
    while True:
        sizes = np.full(n_parents, rng.integers(1, 4)) if rng.random() < 0.5 else rng.integers(0, 4, n_parents)
        if sizes.sum() <= most_units:
            break
    n_units = int(sizes.sum())
    cost = symmetric(rng, n_units) * 10.0 ** rng.choice([0, 0, 0, -12, 9])
    size = float(np.abs(cost).max(initial=0.0))
    ban = np.triu(rng.random((n_units, n_units)) < rng.choice([0.0, 0.0, 0.2, 0.6]))
    cost[ban | ban.T] = INF
    single = rng.normal(size=n_units) * size * rng.choice([0.0, 0.5]) if rng.random() < 0.5 else None
    return MultiPairing(cost, sizes, single, within=bool(rng.random() < 0.25))


def partitions(problem: MultiPairing):
    """Yield every partition of the units into clusters of mergeable ones, as labels."""
    merging, parents = problem.merging, problem.n_parents

    def place(unit: int, clusters: list[list[int]]):
        if unit == problem.n_units:
            labels = np.empty(problem.n_units, np.int64)
            for number, cluster in enumerate(clusters):
                labels[cluster] = number
            yield labels
            return
        for cluster in clusters:
            if len(cluster) < parents and (merging[unit, cluster] < INF).all():
                cluster.append(unit)
                yield from place(unit + 1, clusters)
                cluster.pop()
        clusters.append([unit])
        yield from place(unit + 1, clusters)
        clusters.pop()

    yield from place(0, [])


def optimum(problem: MultiPairing) -> float:
    """Return the optimal value by trying everything; NaN if there is no decision."""
    best = math.nan
    for labels in partitions(problem):
        if problem.required is not None:
            count = np.bincount(labels, minlength=1)
            if ((count > 1) & (count < problem.n_parents)).any() or (
                count == problem.n_parents
            ).sum() != problem.required:
                continue
        value = slow_value(problem, labels)
        best = value if math.isnan(best) else min(best, value)
    return best


def slow_value(problem: MultiPairing, labels: np.ndarray) -> float:
    """Return the value of labels, pair by pair."""
    pairs = [problem.cost[u, v] for u, v in itertools.combinations(range(problem.n_units), 2) if labels[u] == labels[v]]
    count = np.bincount(labels, minlength=1)
    return math.fsum(pairs) + math.fsum(problem.alone[u] for u in range(problem.n_units) if count[labels[u]] == 1)


def planted(n_each: int, n_parents: int, seed: int, noise: float = 0.05) -> tuple[MultiPairing, np.ndarray]:
    """Return permuted noisy copies of the same features, and the labels that find them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_each, 8))
    twins = [rng.permutation(n_each) for _ in range(n_parents)]
    units = np.concatenate([features[twin] + noise * rng.normal(size=features.shape) for twin in twins])
    cost = ((units[:, None] - units) ** 2).sum(axis=-1)
    problem = MultiPairing(cost, [n_each] * n_parents)
    return problem, problem.normalise(np.concatenate(twins))
