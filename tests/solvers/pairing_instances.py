"""Pairing problems with known optima, shared by the tests of all solvers, and an oracle for tiny ones."""

import itertools
import math

import numpy as np

from pam_opt_solvers import Budget, Pairing, ProblemError

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
    "tiny": (Pairing(SQUARE * 1e-300), 5e-300),
    "huge": (Pairing(SQUARE * 2e299), 1e300),
    "huge to tiny": (Pairing(np.array([[1e300, 1.0], [2.0, 1e300]])), 3.0),
    "huge singles, whole": (Pairing(SQUARE, np.full(3, 1e300), n_pairs=3), 5.0),
    "budget": (Pairing(SQUARE, budgets=(Budget(np.eye(3)[[1, 0, 2]], 0.0, "no second twin"),)), 6.0),
    "two budgets": (
        Pairing(SQUARE, budgets=(Budget(np.eye(3)[[1, 0, 2]], 1.0, "twins"), Budget(SQUARE == 1, 0.5, "first"))),
        6.0,
    ),
    "at most one": (Pairing(SQUARE, max_pairs=1), 0.0),
    "at most two": (Pairing(SQUARE, np.full(3, 2.5), max_pairs=2), 4.5),
    "forced": (Pairing(SQUARE, forced=np.array([[0, 2]])), 6.0),
    "tied rows": (Pairing(SQUARE, n_pairs=2, tied_rows=np.array([0, -1, 0])), 3.0),
    "tied columns": (Pairing(SQUARE, n_pairs=2, tied_columns=np.array([0, -1, 0])), 4.0),
    "tied, free to be single": (Pairing(SQUARE - 3, np.zeros(3), tied_rows=np.array([1, 1, 1])), -4.0),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "all forbidden": Pairing(np.full((3, 3), INF)),
    "a forbidden row": Pairing(np.array([[INF, INF], [1.0, 2.0]])),
    "two rows, one column": Pairing(np.array([[1.0, INF, INF], [1.0, INF, INF], [1.0, 1.0, 1.0]])),
    "count out of reach": Pairing(np.array([[1.0, 1.0, 1.0], [INF, INF, 1.0], [INF, INF, 1.0]]), n_pairs=3),
    "budget": Pairing(SQUARE, budgets=(Budget(np.ones((3, 3)), 2.0, "latency"),)),
    "negative limit": Pairing(SQUARE, np.zeros(3), budgets=(Budget(np.ones((3, 3)), -1.0, "latency"),)),
    "tied, but not all can pair": Pairing(np.ones((3, 2)), tied_rows=np.array([0, 0, 0])),
}
"""Name to problem without any decision."""


def optimum(problem: Pairing) -> float:
    """Return the optimal value by trying every set of pairs; NaN if none is a decision."""
    values = [problem.value(pairs) for pairs in _sets_of_pairs(problem) if not problem.violations(pairs)]
    return min(values, default=math.nan)


def _sets_of_pairs(problem: Pairing):
    rows, columns = problem.shape
    counts = range(min(rows, columns) + 1) if problem.required is None else [problem.required]
    for count in counts:
        for chosen in itertools.combinations(range(rows), count):
            for partners in itertools.permutations(range(columns), count):
                yield np.array(list(zip(chosen, partners, strict=True)), np.int64).reshape(-1, 2)


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


def random_side_problem(seed: int, largest: int = 4) -> Pairing | None:
    """Return a problem with side constraints of any kind; ``None`` where those drawn exclude each other at once."""
    rng = np.random.default_rng(seed)
    rows, columns = (int(x) for x in rng.integers(0, largest + 1, 2))
    cost = rng.integers(-3, 4, (rows, columns)).astype(float)
    cost[rng.random((rows, columns)) < rng.choice([0.0, 0.3])] = np.inf
    options = {}
    if rng.random() < 0.5:
        options["single_rows"] = rng.integers(-2, 3, rows).astype(float)
    kind = rng.random()
    if kind < 0.6:
        options["n_pairs" if kind < 0.3 else "max_pairs"] = int(rng.integers(min(rows, columns) + 1))
    if rng.random() < 0.3:
        options["tied_rows"] = rng.integers(-1, 2, rows)
    if rng.random() < 0.3:
        options["tied_columns"] = rng.integers(-1, 2, columns)
    if rng.random() < 0.7:
        options["budgets"] = tuple(
            Budget(rng.integers(0, 4, (rows, columns)).astype(float), float(rng.integers(0, 6)), f"b{index}")
            for index in range(rng.integers(1, 3))
        )
    if rng.random() < 0.2 and rows and columns:
        options["forced"] = np.array([[rng.integers(rows), rng.integers(columns)]])
    try:
        return Pairing(cost, **options)
    except ProblemError:
        return None  # the forced pair is forbidden, or more than may be made
