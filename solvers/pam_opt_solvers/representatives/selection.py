"""The cheapest set of kept units within the count and one quota: the inner problem of the relaxation.

Sorting decides it: every class first takes the least it must, the rest is filled in order of weight. The linear
relaxation of this choice is whole, and its dual thresholds say what forcing a unit in or out costs at least.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.highs import milp
from pam_opt_solvers.problems.representatives import Representatives

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rule:
    """How many units are kept, overall and per class of the first quota.

    Parameters
    ----------
    n_kept, at_most : as in the problem
    labels : (n,) class of every unit
    least, most : (c,) limits per class
    """

    n_kept: int
    at_most: bool
    labels: Indices
    least: Indices
    most: Indices

    @classmethod
    def of(cls, problem: Representatives) -> "Rule":
        """Take the count and the first quota of a problem."""
        if problem.quotas:
            return cls(problem.n_kept, problem.at_most, problem.quotas[0].labels, *problem.quotas[0].limits)
        one = np.zeros(problem.size, np.int64)
        return cls(problem.n_kept, problem.at_most, one, np.array([1 if problem.size else 0]), np.array([problem.size]))

    @cached_property
    def starts(self) -> Indices:
        """Where each class begins once units are sorted by class, (c + 1,)."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.labels, minlength=len(self.least)))])


@dataclass(frozen=True, eq=False)
class Selection:
    """The cheapest set.

    Parameters
    ----------
    chosen : (n,) bool
    enter, leave : (n,) thresholds: keeping unit j costs at least ``weights[j] - enter[j]`` more, and not
        keeping it at least ``leave[j] - weights[j]``
    """

    chosen: NDArray[np.bool_]
    enter: Vector
    leave: Vector


def cheapest(weights: Vector, rule: Rule) -> Selection | None:
    """Choose the units of least total weight; +inf = never, -inf = always; ``None`` = the rule cannot be met."""
    order = np.lexsort((weights, rule.labels))
    labels = rule.labels[order]
    rank = np.arange(len(order)) - rule.starts[labels]
    sorted_weights = weights[order]
    possible = sorted_weights < np.inf
    forced = rank < rule.least[labels]
    free = np.flatnonzero(possible & ~forced & (rank < rule.most[labels]))
    wanted = rule.n_kept - int(rule.least.sum())
    short = (rule.starts[1:] - rule.starts[:-1] < rule.least).any() or not possible[forced].all()
    if short or wanted < 0 or (wanted > len(free) and not rule.at_most):
        return None
    by_weight = free[np.argsort(sorted_weights[free], kind="stable")]
    wanted = min(wanted, int((sorted_weights[free] < 0).sum())) if rule.at_most else wanted
    taken = by_weight[:wanted]
    chosen = forced.copy()
    chosen[taken] = True
    low = float(sorted_weights[taken].max(initial=-np.inf))
    high = float(sorted_weights[by_weight[wanted:]].min(initial=np.inf))
    if rule.at_most:
        full = int(chosen.sum()) == rule.n_kept
        low, high = (min(low, 0.0), min(high, 0.0)) if full else (0.0, 0.0)
    mask = np.zeros(len(weights), bool)
    mask[order[chosen]] = True
    last, following = _edges(sorted_weights, labels, chosen, rule)
    enter, leave = (np.clip(edge, last, following)[rule.labels] for edge in (low, high))
    return Selection(mask, enter, leave)


def _edges(weights: Vector, labels: Indices, chosen: NDArray[np.bool_], rule: Rule) -> tuple[Vector, Vector]:
    """Return per class the weight of the last chosen unit and of the first one that is not."""
    counts = np.bincount(labels[chosen], minlength=len(rule.least))
    padded = np.concatenate([weights, [np.inf]])
    last = np.where(counts > 0, padded[rule.starts[:-1] + counts - 1], -np.inf)
    following = np.where(rule.starts[:-1] + counts < rule.starts[1:], padded[rule.starts[:-1] + counts], np.inf)
    return last, following


def any_selection(problem: Representatives, weights: Vector) -> Indices | None:
    """Return the cheapest kept units under the count and all quotas; ``None`` = there are none.

    Several quotas need a small integer programme; its time is counted in milliseconds, for it has one variable
    per unit and one row per class.
    """
    weights = np.where(problem.keepable, weights, np.inf)
    if len(problem.quotas) <= 1:
        selection = cheapest(weights, Rule.of(problem))
        return None if selection is None else np.flatnonzero(selection.chosen)
    return _by_programme(problem, weights)


def _by_programme(problem: Representatives, weights: Vector) -> Indices | None:
    least = 1 if problem.at_most else problem.n_kept
    matrices = [np.ones((1, problem.size))]
    lows, highs = [np.array([least])], [np.array([problem.n_kept])]
    for quota in problem.quotas:
        matrix = np.zeros((len(quota.limits[0]), problem.size))
        matrix[quota.labels, np.arange(problem.size)] = 1.0
        matrices.append(matrix)
        lows.append(quota.limits[0])
        highs.append(quota.limits[1])
    rows = np.concatenate(matrices), np.concatenate(lows), np.concatenate(highs)
    objective = np.where(problem.keepable, weights, 0.0)
    found = milp(objective, [rows], problem.keepable.astype(np.float64), np.ones(problem.size, bool))
    return None if found.x is None else np.flatnonzero(found.x > 0.5)
