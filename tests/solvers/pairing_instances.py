"""Pairing problems with known optima, shared by the tests of all solvers, and an oracle for tiny ones."""

import itertools
import math

import numpy as np

from pam_opt_solvers import Pairing

INF = np.inf
SQUARE = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])

FEASIBLE = {
    "square": (Pairing(SQUARE), 5.0),
    "wide": (Pairing(np.array([[10.0, 2.0, 8.0], [1.0, 3.0, 9.0]])), 3.0),
    "tall": (Pairing(np.array([[10.0, 1.0], [2.0, 3.0], [8.0, 9.0]])), 3.0),
    "one": (Pairing(np.array([[7.0]])), 7.0),
    "no rows": (Pairing(np.zeros((0, 3)), single_columns=np.array([1.0, 2.0, -4.0])), -1.0),
    "nothing": (Pairing(np.zeros((0, 0))), 0.0),
    "ties": (Pairing(np.ones((4, 4))), 4.0),
    "all zero": (Pairing(np.zeros((3, 5))), 0.0),
    "negative": (Pairing(-SQUARE), -11.0),
    "forbidden": (Pairing(np.array([[INF, 1.0, INF], [2.0, INF, 3.0], [5.0, 1.0, INF]])), 9.0),
    "opt out": (Pairing(SQUARE, np.full(3, 1.0), np.full(3, 1.0)), 4.0),
    "opt out of all": (Pairing(SQUARE + 9, np.zeros(3)), 0.0),
    "paid to be single": (Pairing(SQUARE, np.full(3, -1.0), np.full(3, 0.5)), -1.5),
    "opt out, all forbidden": (Pairing(np.full((2, 3), INF), np.ones(2), np.ones(3)), 5.0),
    "one pair": (Pairing(SQUARE, n_pairs=1), 0.0),
    "two pairs": (Pairing(SQUARE, n_pairs=2), 2.0),
    "no pairs": (Pairing(SQUARE, np.ones(3), n_pairs=0), 3.0),
    "two pairs and singles": (Pairing(SQUARE, np.array([9.0, 0.0, 0.0]), n_pairs=2), 3.0),
    "free twins, dear singles": (Pairing((1 - np.eye(3)) / 3, np.full(3, 0.7), np.full(3, 0.7)), 0.0),
    "tiny costs": (Pairing(SQUARE * 1e-300), 5e-300),
    "huge costs": (Pairing(SQUARE * 2e299), 1e300),
    "huge to tiny": (Pairing(np.array([[1e300, 1.0], [2.0, 1e300]])), 3.0),
    "huge singles, whole": (Pairing(SQUARE, np.full(3, 1e300), n_pairs=3), 5.0),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "all forbidden": Pairing(np.full((3, 3), INF)),
    "a forbidden row": Pairing(np.array([[INF, INF], [1.0, 2.0]])),
    "two rows, one column": Pairing(np.array([[1.0, INF, INF], [1.0, INF, INF], [1.0, 1.0, 1.0]])),
    "count out of reach": Pairing(np.array([[1.0, 1.0, 1.0], [INF, INF, 1.0], [INF, INF, 1.0]]), n_pairs=3),
}
"""Name to problem without any decision."""


def optimum(problem: Pairing) -> float:
    """Return the optimal value by trying every decision; NaN if there is none."""
    values = [problem.value(pairs) for pairs in _decisions(problem)]
    return min(values, default=math.nan)


def _decisions(problem: Pairing):
    rows, columns = problem.shape
    counts = range(min(rows, columns) + 1) if problem.required is None else [problem.required]
    for count in counts:
        for chosen in itertools.combinations(range(rows), count):
            for partners in itertools.permutations(range(columns), count):
                pairs = np.array(list(zip(chosen, partners, strict=True)), np.int64).reshape(-1, 2)
                if (problem.cost[pairs[:, 0], pairs[:, 1]] < INF).all():
                    yield pairs


def random_problem(seed: int, largest: int) -> Pairing:
    """Return a problem of any kind: sizes from 0, ties, forbidden pairs, negative costs, singles, counts, scales."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(x) for x in rng.integers(0, largest + 1, 2))
    whole = rng.random() < 0.5
    cost = rng.integers(-3, 4, shape).astype(float) if whole else rng.normal(size=shape)
    cost = cost * 10.0 ** rng.choice([0, 0, 0, -12, 9])
    size = float(np.abs(cost).max(initial=0.0))
    cost[rng.random(shape) < rng.choice([0.0, 0.2, 0.7])] = INF
    kind = rng.integers(4)
    rows = rng.normal(size=shape[0]) * size if kind in (1, 3) else None
    columns = rng.normal(size=shape[1]) * size if kind in (1, 2) and rng.random() < 0.7 else None
    count = int(rng.integers(min(shape) + 1)) if kind in (2, 3) and rng.random() < 0.7 else None
    return Pairing(cost, rows, columns, count)
