"""Column subset problems with known optima, tiny ones of any kind, and oracles that share no code with the solvers."""

import itertools
import math
from fractions import Fraction

import numpy as np

from pam_opt_solvers import ColumnSubset, Quota

TWINS = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
RANK_ONE = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])

FEASIBLE = {
    "diagonal": (ColumnSubset(np.diag([4.0, 1.0, 2.0]), 2), 1.0),
    "weights turn the order": (ColumnSubset(np.diag([4.0, 1.0, 2.0]), 2, np.array([1.0, 100.0, 3.0])), 4.0),
    "twins": (ColumnSubset(TWINS, 2), 0.19),
    "one": (ColumnSubset(np.array([[3.0]]), 1), 0.0),
    "nothing kept": (ColumnSubset(TWINS, 0), 3.0),
    "all kept": (ColumnSubset(TWINS, 3), 0.0),
    "nothing": (ColumnSubset(np.zeros((0, 0)), 0), 0.0),
    "rank one": (ColumnSubset(RANK_ONE, 1), 0.0),
    "rank one, two kept": (ColumnSubset(RANK_ONE, 2), 0.0),
    "all equal": (ColumnSubset(np.ones((5, 5)), 2), 0.0),
    "ties": (ColumnSubset(np.eye(6), 2), 4.0),
    "constants": (ColumnSubset(np.zeros((4, 4)), 2), 0.0),
    "no weights": (ColumnSubset(TWINS, 1, np.zeros(3)), 0.0),
    "a constant among others": (ColumnSubset(np.diag([0.0, 5.0, 1.0]), 1), 1.0),
    "only a free unit explains": (ColumnSubset(np.array([[4.0, 2.0], [2.0, 1.0]]), 1, np.array([0.0, 1.0])), 0.0),
    "forbidden": (ColumnSubset(np.diag([4.0, 1.0, 2.0]), 1, forbidden=np.array([True, False, False])), 5.0),
    "quota": (ColumnSubset(np.diag([4.0, 3.0, 2.0, 1.0]), 2, quota=Quota([0, 0, 1, 1], [1, 1], [1, 1])), 4.0),
    "quota of constants": (ColumnSubset(np.diag([4.0, 3.0, 0.0]), 2, quota=Quota([0, 0, 1], [0, 1])), 3.0),
    "ridge": (ColumnSubset(np.diag([4.0, 1.0]), 1, ridge=4.0), 3.0),
    "tiny": (ColumnSubset(TWINS * 1e-200, 2), 0.19e-200),
    "huge": (ColumnSubset(TWINS * 1e200, 2), 0.19e200),
    "tiny times huge": (ColumnSubset(TWINS * 1e-200, 2, np.full(3, 1e200)), 0.19),
    "every scale": (ColumnSubset(TWINS * np.outer(x := np.array([1e-100, 1e100, 1.0]), x), 2, x**-2), 0.19),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "forbidden": (ColumnSubset(TWINS, 3, forbidden=np.array([True, False, False])), "only 2 units may be kept"),
    "class too small": (ColumnSubset(TWINS, 2, quota=Quota([0, 0, 1], [0, 2])), "class 1 must keep 2 units and has 1"),
    "least too many": (ColumnSubset(TWINS, 1, quota=Quota([0, 0, 1], 1)), "must keep 2 units in all, more than the 1"),
    "most too few": (ColumnSubset(TWINS, 3, quota=Quota([0, 0, 1], 0, 1)), "may keep 2 units in all, fewer than the 3"),
    "crossed": (
        ColumnSubset(TWINS, 1, quota=Quota([0, 0, 1], [2, 0], [1, 1])),
        "class 0 must keep 2 units and may keep",
    ),
}
"""Name to problem without any decision, and words of the reason."""


def decisions(problem: ColumnSubset):
    """Yield every decision of a tiny problem."""
    for units in itertools.combinations(range(problem.size), problem.n_kept):
        kept = np.array(units, np.int64)
        if not problem.violations(kept):
            yield kept


def optimum(problem: ColumnSubset) -> float:
    """Return the optimal value by trying every decision; +inf if there is none."""
    return min((problem.value(kept) for kept in decisions(problem)), default=math.inf)


def exact_value(features: np.ndarray, weights: np.ndarray, kept: list[int]) -> Fraction:
    """Return the value for integer features and weights by Gram-Schmidt in rational numbers."""
    columns = [[Fraction(int(x)) for x in column] for column in features.T]
    for unit in kept:
        pivot = columns[unit].copy()
        square = sum(x * x for x in pivot)
        if square:
            for column in columns:
                share = sum(x * y for x, y in zip(column, pivot, strict=True)) / square
                column[:] = [x - share * y for x, y in zip(column, pivot, strict=True)]
    return sum((int(w) * sum(x * x for x in column) for w, column in zip(weights, columns, strict=True)), Fraction(0))


def _features(rng: np.random.Generator, n: int) -> np.ndarray:
    samples = int(rng.integers(1, 2 * n + 2))
    normal = rng.normal(size=(samples, n))
    kinds = [
        lambda: normal,
        lambda: rng.integers(-2, 3, (samples, n)).astype(float),
        lambda: normal[:, rng.integers(n, size=n)],  # copies
        lambda: normal * 10.0 ** rng.integers(-100, 100, n),
        lambda: normal * 10.0 ** rng.choice([-100, -50, 0, 50, 100]),
        lambda: 1 / (1.0 + np.arange(n)[:, None] + np.arange(n)),  # nearly singular
        lambda: np.eye(n),
        lambda: normal * (rng.random(n) < 0.6),  # constants
        lambda: normal @ (10.0 ** -np.arange(n)[:, None] * rng.normal(size=(n, n))),
        lambda: (normal @ rng.normal(size=(n, n))).astype(np.float32),
    ]
    return kinds[rng.integers(len(kinds))]()


def random_problem(seed: int, largest: int) -> ColumnSubset:
    """Return a problem of any kind: singular, scaled, tied, float32, weights, ridge, forbidden units and quotas."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, largest + 1))
    features = _features(rng, n)
    gram = (features.T @ features).astype(float)
    weights = [None, rng.random(n), rng.integers(0, 3, n).astype(float), 10.0 ** rng.integers(-8, 8, n)][
        rng.integers(4)
    ]
    ridge = 0.0 if rng.random() < 0.6 else float(np.median(gram.diagonal())) * 10.0 ** rng.integers(-12, 2)
    forbidden = rng.random(n) < 0.3 if rng.random() < 0.3 else None
    quota = None
    if rng.random() < 0.3:
        classes = int(rng.integers(1, 4))
        least = rng.integers(0, 2, classes)
        quota = Quota(rng.integers(0, classes, n), least, least + rng.integers(0, 3, classes))
    return ColumnSubset(gram, int(rng.integers(n + 1)), weights, ridge, forbidden, quota)
