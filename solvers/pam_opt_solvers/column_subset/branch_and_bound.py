"""Branch and bound: exact column subsets of small layers, with a true bound at any time.

Best bound first: a node is split by its most gainful free unit into "kept" and "not kept". Nodes are taken from the
heap and bounded in batches, as matrices of this size are too small to pay for a call each. Where one or two units are
left to keep, all completions are tried at once.
"""

import heapq
import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.column_subset.node_bounds import EXCLUDED, FREE, INCLUDED, NodeBounds, Stack, States
from pam_opt_solvers.column_subset.residual import Residual
from pam_opt_solvers.column_subset.start import begin, filled_up, greedy_within_limit
from pam_opt_solvers.column_subset.swaps import improve
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import ColumnSubset, Feature
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

BATCH = 2**17
"""Matrix entries of the nodes that are bounded together."""

TOLERANCE = 1e-10
"""Part of the value by which a node must promise to be better."""

SECONDS_PER_ENTRY = 5e-9
"""Time of a node over n^3, for not starting one that the limit would cut."""


class Tree:
    """The open nodes of one problem."""

    def __init__(self, problem: ColumnSubset, search: Search, value: float) -> None:
        self.problem, self.search, self.scaled = problem, search, problem.scaled
        self.error = self.scaled.resolution * self.scaled.total
        self.value = value
        self.bounds = NodeBounds.of(self.scaled, problem.allowed & ~self._twins())
        self._numbers = itertools.count()
        root = np.where(problem.allowed & ~self._twins(), FREE, EXCLUDED)
        self._heap: list[tuple[float, int, States]] = [(0.0, next(self._numbers), root)]

    def _twins(self) -> NDArray[np.bool_]:
        """Return ``(n,)``: units that are copies of an earlier one and never needed beside it."""
        gram, allowed = self.scaled.gram, self.problem.allowed
        variances = gram.diagonal()
        copies = gram**2 >= np.outer(variances, variances) * (1 - self.scaled.resolution)
        twins = np.triu(copies & allowed[:, None], 1).any(axis=0) | (variances == 0)
        enough = (allowed & ~twins).sum() >= self.problem.n_kept
        return twins if self.problem.quota is None and enough and not self.scaled.ridge.any() else np.zeros_like(twins)

    @property
    def bound(self) -> float:
        """A lower bound on all decisions, in scaled units."""
        open_bound = self._heap[0][0] if self._heap else self.value
        return min(open_bound, self._cut) - self.error

    @property
    def _cut(self) -> float:
        return self.value * (1 - TOLERANCE)

    def take(self) -> States:
        """Remove the nodes of the next batch from the heap; none = the tree is done."""
        size = max(1, BATCH // len(self.scaled.gram) ** 2)
        batch: list[States] = []
        while self._heap and len(batch) < size and self._heap[0][0] < self._cut:
            batch.append(heapq.heappop(self._heap)[2])
        if not batch:
            self._heap.clear()
        return np.array(batch, np.int8).reshape(-1, len(self.scaled.gram))

    def expand(self, states: States) -> None:
        """Split nodes by their most gainful unit and bound their children."""
        stack = self.bounds.residuals(states)
        units, gains = self._best_units(stack, states)
        for node in np.flatnonzero(gains < 0):
            self._offer(filled_up(self.problem, np.flatnonzero(states[node] == INCLUDED)))
        nodes = np.flatnonzero(gains >= 0)
        units, stack = units[nodes], stack[nodes]
        with_unit, without = states[nodes].copy(), states[nodes].copy()
        with_unit[np.arange(len(nodes)), units] = INCLUDED
        without[np.arange(len(nodes)), units] = EXCLUDED
        self._add(without, stack)
        self._add(with_unit, self.bounds.given(stack, units))

    def _best_units(self, stack: Stack, states: States) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        scaled = self.scaled
        variances = np.diagonal(stack, axis1=1, axis2=2)
        live = (states == FREE) & (variances > scaled.resolution * scaled.gram.diagonal())
        squares = np.einsum("buj,buj,u->bj", stack, stack, scaled.importance)
        gains = np.full(states.shape, -1.0)
        np.divide(squares, variances + scaled.ridge, out=gains, where=live)
        return gains.argmax(axis=1), gains.max(axis=1)

    def _completable(self, states: States) -> NDArray[np.bool_]:
        included, free = states == INCLUDED, states == FREE
        left = self.problem.n_kept - included.sum(axis=1)
        if self.problem.quota is None:
            return (left >= 0) & (free.sum(axis=1) >= left)
        least, most = self.problem.quota.limits
        member = np.eye(len(least), dtype=np.int64)[self.problem.quota.labels]
        has, spare = included @ member, free @ member
        room = np.minimum(most - has, spare)
        lacking = np.maximum(least - has, 0)
        possible = (room >= 0).all(axis=1) & (lacking <= room).all(axis=1)
        return possible & (lacking.sum(axis=1) <= left) & (room.sum(axis=1) >= left)

    def _add(self, children: States, stack: Stack) -> None:
        """Keep the children, whose residuals are ``stack``, that may hold a better decision."""
        possible = self._completable(children)
        children, stack = children[possible], stack[possible]
        if not len(children):
            return
        left = self.problem.n_kept - (children == INCLUDED).sum(axis=1)
        bounds = self.bounds.lower(stack, children, left)
        few = (left <= 2) | ((children == FREE).sum(axis=1) == left)
        for node in np.flatnonzero(bounds < self._cut):
            if few[node]:
                bounds[node] = max(bounds[node], self._complete(stack[node], children[node], int(left[node])))
            if bounds[node] < self._cut:
                heapq.heappush(self._heap, (float(bounds[node]), next(self._numbers), children[node]))

    def _complete(self, residual: Stack, state: States, left: int) -> float:
        """Offer the best completion by at most two units, or by all; return a bound on all completions."""
        included, free = np.flatnonzero(state == INCLUDED), np.flatnonzero(state == FREE)
        value = float(self.scaled.importance @ residual.diagonal())
        if len(free) == left or left == 0:
            self._offer(np.concatenate([included, free[:left]]))
            return np.inf
        if left == 1:
            free = free[self.problem.may_follow(included)[free]]
        gain, units = best_few(residual, self.scaled.importance, self.scaled.ridge, free, left)
        kept = np.concatenate([included, units])
        if self.problem.violations(kept):  # a pair that the quota does not take
            return value - gain
        self._offer(kept)
        return np.inf

    def _offer(self, kept: NDArray[np.int64]) -> None:
        value = float(self.scaled.importance @ self.scaled.residuals(np.sort(kept)))
        if value < self.value:
            self.value = value
            self.search.offer(np.sort(kept))


def best_few(
    residual: Stack, importance: NDArray[np.float64], ridge: NDArray[np.float64], free: NDArray[np.int64], count: int
) -> tuple[float, NDArray[np.int64]]:
    """Return gain and indices of the best ``count``, 1 or 2, of the free units, by trying all."""
    columns = residual[:, free]
    squares = (columns * importance[:, None]).T @ columns
    inner = residual[np.ix_(free, free)] + np.diag(ridge[free])
    floor = 1e-13
    own = np.where(inner.diagonal() > floor, squares.diagonal() / np.maximum(inner.diagonal(), floor), 0.0)
    if count == 1:
        return float(own.max()), free[[int(own.argmax())]]
    product = np.outer(inner.diagonal(), inner.diagonal())
    determinant = product - inner**2
    cross = np.outer(squares.diagonal(), inner.diagonal())
    sound = determinant > floor + 1e-12 * product
    both = np.maximum(own[:, None], own)
    np.divide(cross + cross.T - 2 * squares * inner, determinant, out=both, where=sound)
    both[np.diag_indices(len(free))] = -1.0
    first, second = np.unravel_index(int(both.argmax()), both.shape)
    return float(both[first, second]), free[[int(first), int(second)]]


class BranchAndBound(Solver[Residual]):
    """Prove the best units on small layers: about 30 units in seconds."""

    name = "branch_and_bound"
    takes = frozenset({"column_subset"})
    exact = True
    features = frozenset({Feature.QUOTAS, Feature.FORBIDDEN})
    description = "exact on small layers; best bound first; anytime"
    stops_itself = True

    def _build(self, problem: ColumnSubset, options: Options) -> Residual:
        return Residual(problem.scaled)

    def _run(self, model: Residual, problem: ColumnSubset, options: Options) -> Outcome:
        search = begin(problem, options.time_limit)
        start = greedy_within_limit(problem, model, search)
        if search.out_of_time:
            return Outcome(Status.TIME_LIMIT, start)
        search.offer(np.sort(start))
        improve(problem, start, search)
        search.raise_bound(problem.trivial_bound())
        assert search.decision is not None
        scaled = problem.scaled
        batch_seconds = SECONDS_PER_ENTRY * max(problem.size**3, BATCH * problem.size)
        if search.seconds_left < 2 * batch_seconds:
            outcome = search.outcome(note="no time for a single node")
            return replace(outcome, status=Status.TIME_LIMIT) if outcome.status is Status.FEASIBLE else outcome
        tree = Tree(problem, search, float(scaled.importance @ scaled.residuals(search.decision)))
        done, nodes = False, 0
        while not (done or search.over or search.seconds_left < batch_seconds):
            states = tree.take()
            nodes += len(states)
            done = not len(states)
            if not done:
                tree.expand(states)
                search.raise_bound(float(scaled.unscaled(tree.bound)))
        error = float(scaled.unscaled(tree.value - tree.bound)) if done else 0.0
        outcome = search.outcome(f"{nodes} nodes", finished=done, error=error)
        return replace(outcome, status=Status.TIME_LIMIT) if outcome.status is Status.FEASIBLE else outcome
