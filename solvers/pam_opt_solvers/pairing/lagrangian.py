"""Lagrangian relaxation of a pairing with side constraints: an assignment inside, multipliers outside.

Budgets and ties move into the objective with multipliers; what is left is one assignment, whose value is a lower
bound for every choice of multipliers [1]. Subgradient steps raise it. Every assignment is repaired into a decision
where it breaks something: multipliers are stretched until the budgets hold, incomplete tied groups are let go. Any
time it is stopped there is a bound and, mostly, a decision.

[1] M. L. Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management Science
27(1), 1981, doi:10.1287/mnsc.27.1.1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.hungarian import assign
from pam_opt_solvers.problems import Pairing
from pam_opt_solvers.problems.pairing import tied_groups
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

STEPS = 300
PATIENCE = 8
"""Steps without a better bound before the step is halved."""

LEAST_STEP = 1e-3
LARGEST_LIMIT = 1e30
"""A limit so far above the weights is none; its product with a multiplier could overflow."""

STRETCH_EVERY = 20
STRETCHES = 12
"""Every so many steps the multipliers are stretched until the assignment is feasible, by so many halvings."""


@dataclass(frozen=True)
class Relaxed:
    """The rows that are relaxed, each over the (m, n) pairs: ``low <= sum a_ij x_ij <= high``, scaled to about 1."""

    rows: tuple[Vector, ...]
    limits: Vector
    equality: NDArray[np.bool_]
    free_rows: Indices
    free_columns: Indices


class Lagrangian(Solver[Relaxed]):
    """Raise the bound by subgradient steps on budgets and ties; forced pairs are taken out beforehand."""

    name = "lagrangian"
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    description = "bound and decision at every step; assignment inside, multipliers for budgets and ties"
    stops_itself = True

    def _build(self, problem: Pairing, options: Options) -> Relaxed:
        rows, limits, equality = [], [], []
        for budget in problem.budgets:
            weights = np.where(problem.within_budgets, budget.weights, 0.0)
            exponent = int(np.frexp(weights.max(initial=0.0))[1])
            rows.append(np.ldexp(weights, -exponent))
            limits.append(min(float(np.ldexp(budget.limit, -exponent)), LARGEST_LIMIT))
            equality.append(False)
        for row in _tie_rows(problem):
            rows.append(row)
            limits.append(0.0)
            equality.append(True)
        free = [np.arange(length) for length in problem.shape]
        if problem.forced is not None:
            free = [np.setdiff1d(lines, problem.forced[:, side]) for side, lines in enumerate(free)]
        return Relaxed(tuple(rows), np.array(limits), np.array(equality, bool), *free)

    def _run(self, model: Relaxed, problem: Pairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        dual = _Dual(problem, model)
        multipliers, step, stale = np.zeros(len(model.rows)), 1.0, 0
        for taken in range(STEPS):
            pairs, bound = dual.solve(multipliers)
            if pairs is None:
                return Outcome(Status.INFEASIBLE, note="too few pairs keep every budget by themselves")
            stale = 0 if search.raise_bound(bound) else stale + 1
            _offer(search, problem, pairs)
            if len(model.rows) == 0:
                return search.outcome(finished=search.decision is not None)
            violation = dual.violation(pairs)
            if search.over or not violation.any():
                break
            if taken % STRETCH_EVERY == 0:
                _stretch(search, problem, dual, multipliers)
            if stale >= PATIENCE:
                step, stale = step / 2, 0
            if step < LEAST_STEP:
                break
            multipliers = _stepped(multipliers, violation, model.equality, step, search, bound)
        return search.outcome(note="multipliers from subgradient steps")


class _Dual:
    """The inner assignment for given multipliers."""

    def __init__(self, problem: Pairing, model: Relaxed) -> None:
        self.problem, self.model = problem, model
        self.forced = np.zeros((0, 2), np.int64) if problem.forced is None else problem.forced
        self.weights = problem.weights
        self.barred = ~problem.within_budgets[np.ix_(model.free_rows, model.free_columns)]

    def solve(self, multipliers: Vector) -> tuple[Indices | None, float]:
        """Return the cheapest pairs (None if there are none at all) and the bound that they prove."""
        priced = self.weights.copy()
        for multiplier, row in zip(multipliers, self.model.rows, strict=True):
            if multiplier:
                priced += multiplier * row
        inner = priced[np.ix_(self.model.free_rows, self.model.free_columns)]
        inner[self.barred] = np.inf
        required = None if self.problem.required is None else self.problem.required - len(self.forced)
        most = None if self.problem.max_pairs is None else self.problem.max_pairs - len(self.forced)
        found = assign(inner, required, most)
        if found is None:
            return None, math.inf
        rows, columns = self.model.free_rows[found[:, 0]], self.model.free_columns[found[:, 1]]
        pairs = np.concatenate([self.forced, np.column_stack([rows, columns])])
        chosen = priced[pairs[:, 0], pairs[:, 1]]
        total = math.fsum([self.problem.constant, *chosen, *(-multipliers * self.model.limits)])
        size = float(np.abs(chosen).sum() + np.abs(multipliers * self.model.limits).sum())
        rounding = self.problem.float_error() + 8 * np.finfo(float).eps * (2 + len(multipliers)) * size
        return pairs, total - rounding

    def violation(self, pairs: Indices) -> Vector:
        """Return how far each relaxed row is from being met; below 0 for slack in a budget."""
        used = [float(row[pairs[:, 0], pairs[:, 1]].sum()) for row in self.model.rows]
        return np.array(used) - self.model.limits


def _tie_rows(problem: Pairing) -> Iterator[Vector]:
    for side, labels in enumerate((problem.tied_rows, problem.tied_columns)):
        for _, members in tied_groups(labels):
            for other in members[1:]:
                row = np.zeros(problem.shape)
                lines = row if side == 0 else row.T
                lines[other], lines[members[0]] = 1.0, -1.0
                yield row


def _offer(search: Search, problem: Pairing, pairs: Indices) -> None:
    """Offer the pairs as they are or, where the number is free, without the tied groups they leave incomplete."""
    if problem.required is None:
        for side, labels in enumerate((problem.tied_rows, problem.tied_columns)):
            for _, members in tied_groups(labels):
                paired = np.isin(pairs[:, side], members)
                if paired.sum() < len(members):
                    pairs = pairs[~paired]
    if not problem.violations(pairs):
        search.offer(pairs)


def _stretch(search: Search, problem: Pairing, dual: _Dual, multipliers: Vector) -> None:
    """Stretch the prices of the budgets until the assignment keeps them, then as little as that takes."""
    budgets = ~dual.model.equality
    if not budgets.any():
        return
    base = np.where(budgets & (multipliers <= 0), problem.magnitude * 1e-3, multipliers)
    low, high = 0.0, 1.0
    for _ in range(STRETCHES):
        if search.out_of_time:
            return
        middle = high if low == 0.0 and high < 2**STRETCHES else (low + high) / 2
        pairs, _ = dual.solve(np.where(budgets, multipliers + middle * base, multipliers))
        if pairs is None:
            return
        _offer(search, problem, pairs)
        if (dual.violation(pairs)[budgets] > 0).any():
            low, high = (middle, high * 2) if middle == high else (middle, high)
        else:
            high = middle
            low = low or middle * 1e-3


def _stepped(
    multipliers: Vector, violation: Vector, equality: NDArray[np.bool_], step: float, search: Search, bound: float
) -> Vector:
    """Take a Polyak step towards the best value known, or a guess of it."""
    least = 1e-12 * search.problem.magnitude
    guess = search.bound + 0.05 * max(abs(search.bound), least)
    target = search.value if math.isfinite(search.value) else guess
    active = np.where(equality | (violation > 0) | (multipliers > 0), violation, 0.0)
    norm = float(active @ active)
    if norm == 0.0:
        return multipliers
    moved = multipliers + step * max(target - bound, least) / norm * active
    return np.where(equality, moved, np.maximum(moved, 0.0))
