"""All sets of units within one joint budget that weigh much, by branching with a colouring bound.

A node is a set S and candidates R that may be added, each within the budget. Two candidates exclude each other if S
with both breaks the budget (f is monotone, or is meant to be). Candidates that all exclude each other add at most
the weight of the heaviest; a greedy partition of R into such cliques gives a bound for every prefix of R, as in
colouring algorithms for cliques [1], but with exclusions that grow with S.

[1] R. Carraghan, P. Pardalos, "An exact algorithm for the maximum clique problem", Operations Research Letters 9, 1990,
    doi:10.1016/0167-6377(90)90057-C; E. Tomita, T. Seki, DMTCS 2003, doi:10.1007/3-540-45066-1_22.
"""

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.budgets import JointBudget

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

REMEMBERED = 200_000
"""Nodes whose exclusions are kept for the next search, at most."""


class TooMany(Exception):
    """More sets, or more time, than were allowed."""


class SetSearch:
    """Search the sets within one joint budget; what is learnt of the budget serves all searches.

    Parameters
    ----------
    budget : f and its limit
    useful : (n,) bool, the units that may be put in
    """

    def __init__(self, budget: JointBudget, useful: Flags) -> None:
        self.budget = budget
        self.idle = budget.function.idle() & useful
        alone = budget.function.added(np.zeros(0, np.int64))
        self.units = np.flatnonzero(useful & ~self.idle & (alone <= budget.allowed))
        self.nodes = 0
        self.listed: Flags | None = None
        self._known: dict[bytes, tuple[Indices, Flags]] = {}

    def list_all(self, most: int, deadline: float) -> None:
        """List all sets that no unit can be added to, if they are few; searches then look them up."""
        nothing = np.zeros(self.budget.function.size)
        try:
            self.listed = self.at_least(nothing, 0.0, most, deadline)
        except TooMany:
            return

    def heaviest(self, weights: Floats, known: Flags, deadline: float) -> tuple[Flags, float]:
        """Return a set (n,) bool of most weight, and a bound: its weight unless the deadline came first.

        Parameters
        ----------
        weights : (n,) at least 0
        known : (M, n) bool, at least one set within the budget
        """
        if self.listed is not None:
            known = np.concatenate([known, self.listed])
        start = known[int((known @ weights).argmax())]
        weight = math.fsum(weights[start])
        if self.listed is not None:
            return start, weight
        base = math.fsum(weights[self.idle])
        walk = _Walk(self, weights, weight - base, math.inf, deadline, best_only=True)
        finished = walk.run(self.units[weights[self.units] > 0])
        members = self._whole(walk.found[-1]) if walk.found else start
        weight = math.fsum(weights[members])
        return members, weight if finished else max(weight, walk.bound + base)

    def at_least(self, weights: Floats, least: float, most: int, deadline: float) -> Flags:
        """Return (M, n) bool: sets of at least this weight, among them all that no unit can be added to.

        Raises
        ------
        TooMany : more than ``most``, or the deadline came first
        """
        if self.listed is not None:
            return self.listed[self.listed @ weights >= least]
        walk = _Walk(self, weights, least - math.fsum(weights[self.idle]), most, deadline, best_only=False)
        if not walk.run(self.units):
            raise TooMany
        return np.array([self._whole(members) for members in walk.found], bool).reshape(-1, len(weights))

    def grown(self, first: int) -> Flags:
        """Return (n,) bool a set grown from one unit by the unit that adds least."""
        growth = self.budget.function.grow()
        members, unit = [], first
        while True:
            growth.add(unit)
            members.append(unit)
            values = growth.candidates()[self.units]
            values[np.isin(self.units, members)] = np.inf
            if values.min() > self.budget.allowed:
                return self._whole(members)
            unit = int(self.units[values.argmin()])

    def _whole(self, members: list[int]) -> Flags:
        whole = self.idle.copy()
        whole[members] = True
        return whole

    def fits(self, members: list[int]) -> bool:
        """Whether a set keeps the budget."""
        return self.budget.function.value(np.array(members, np.int64)) <= self.budget.allowed

    def exclusions(self, members: list[int], candidates: Indices) -> Flags:
        """Return (c, c) bool: which two candidates break the budget together with the members."""
        self.nodes += 1
        key = np.sort(np.array(members, np.int64)).tobytes()
        known = self._known.get(key)
        if known is not None and np.isin(candidates, known[0]).all():
            places = np.searchsorted(known[0], candidates)
            return known[1][places[:, None], places]
        ordered = np.sort(candidates)
        found = self.budget.function.pairs(np.array(members, np.int64), ordered) > self.budget.allowed
        if len(self._known) < REMEMBERED:
            self._known[key] = ordered, found
        places = np.searchsorted(ordered, candidates)
        return found[places[:, None], places]


@dataclass
class _Walk:
    """One search: the best set only, or all above a weight."""

    search: SetSearch
    weights: Floats
    least: float
    most: float
    deadline: float
    best_only: bool
    found: list[list[int]] = field(default_factory=list)
    bound: float = 0.0

    def run(self, candidates: Indices) -> bool:
        """Visit all nodes; return whether that was finished."""
        try:
            self._visit([], candidates[np.argsort(-self.weights[candidates], kind="stable")], 0.0)
        except TooMany:
            return False
        return True

    def _visit(self, members: list[int], candidates: Indices, weight: float) -> None:
        if not len(candidates) or (self.best_only and weight > self.least):
            self._keep(members, weight)
        if not len(candidates):
            return
        if time.perf_counter() > self.deadline:
            if not members:
                self.bound = math.fsum(self.weights[candidates])
            raise TooMany
        excluded = self.search.exclusions(members, candidates)
        if not excluded.any() and self.search.fits([*members, *candidates.tolist()]):
            self._keep([*members, *candidates.tolist()], weight + math.fsum(self.weights[candidates]))
            return
        order, bounds = _colour(excluded, self.weights[candidates])
        for place in range(len(order) - 1, -1, -1):
            reach = weight + bounds[place]
            if reach <= self.least if self.best_only else reach < self.least:
                return
            if not members:
                self.bound = reach
            before = order[:place]
            left = np.sort(before[~excluded[order[place], before]])
            unit = int(candidates[order[place]])
            self._visit([*members, unit], candidates[left], weight + self.weights[unit])

    def _keep(self, members: list[int], weight: float) -> None:
        if weight < self.least or (self.best_only and weight == self.least):
            return
        if len(self.found) >= self.most:
            raise TooMany
        self.found.append(members)
        if self.best_only:
            self.least = weight


def _colour(excluded: Flags, weights: Floats) -> tuple[Indices, Floats]:
    """Return candidates clique by clique, and for every place a bound on the weight of sets up to it.

    Parameters
    ----------
    excluded : (c, c) bool, which two exclude each other
    weights : (c,) falling
    """
    order, bounds, total = [], [], 0.0
    free = np.arange(len(weights))
    while len(free):
        clique, rest, open_ = [], [], np.ones(len(weights), bool)
        for place in free.tolist():
            if open_[place]:
                clique.append(place)
                open_ &= excluded[place]
            else:
                rest.append(place)
        # Within a clique the bound grows to its heaviest, which therefore comes last.
        clique.reverse()
        order += clique
        bounds += [total + weights[place] for place in clique]
        total += weights[clique[-1]]
        free = np.array(rest, np.int64)
    return np.array(order, np.int64), np.array(bounds)
