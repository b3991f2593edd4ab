"""Interchange: swap a kept unit for another one as long as that pays, the best swap first [1, 2].

The change of every swap at once costs little more than one look at the pairs cheaper than each unit's second best
representative: with d1 and d2 the costs of the nearest and second nearest kept unit, inserting i gains
``sum_u max(0, d1_u - c_ui)``, removing r loses ``sum_{u of r} d2_u - d1_u``, and what both do to the units of r is
corrected pair by pair.

[1] M. B. Teitz and P. Bart, "Heuristic methods for estimating the generalized vertex median of a weighted graph",
Operations Research 16(5), 1968, doi:10.1287/opre.16.5.955.
[2] M. G. C. Resende and R. F. Werneck, "A fast swap-based local search procedure for location problems", Annals of
Operations Research 150, 2007, doi:10.1007/s10479-006-0154-0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.representatives.scaled import Scaled

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_GAIN = 1e-12
"""Of the total, below which a change is taken for rounding."""


@dataclass(frozen=True, eq=False)
class State:
    """Kept units and what they mean to every unit.

    Parameters
    ----------
    kept : (p,) units
    place, runner : (n,) positions in ``kept`` of each unit's nearest and second nearest representative
    first, second : (n,) their costs (``penalty`` if there is none); of a kept unit its cost of being kept and its
        nearest other kept unit
    """

    kept: Indices
    place: Indices
    runner: Indices
    first: Vector
    second: Vector

    @property
    def value(self) -> float:
        """Scaled value, penalties included."""
        return float(self.first.sum())


def state_of(scaled: Scaled, kept: Indices) -> State:
    """Return the state of kept units: one pass over their columns."""
    return State(kept, *_nearest_two(scaled, kept, np.arange(scaled.size)))


def _nearest_two(scaled: Scaled, kept: Indices, rows: Indices) -> tuple[Indices, Indices, Vector, Vector]:
    """Return place, runner, first and second of some rows."""
    costs = scaled.penalised[rows].take(kept, axis=1)
    lines = np.arange(len(rows))
    position = np.full(scaled.size, -1)
    position[kept] = np.arange(len(kept))
    place = costs.argmin(axis=1)
    own = position[rows]
    first = costs[lines, place]
    # A kept unit's own column holds the penalty, so the first found is its nearest other one: its second.
    itself = np.flatnonzero(own >= 0)
    second, runner = first.copy(), place.copy()
    place[itself], first[itself] = own[itself], scaled.keeping[rows[itself]]
    rest = np.flatnonzero(own < 0)
    costs[rest, place[rest]] = np.inf
    runner[rest] = costs[rest].argmin(axis=1)
    second[rest] = np.minimum(costs[rest, runner[rest]], scaled.penalty)
    return place, runner, first, second


def swapped(scaled: Scaled, state: State, place: int, entering: int) -> State:
    """Return the state after a swap; only rows that lose their nearest or second nearest are looked at again."""
    kept = state.kept.copy()
    kept[place] = entering
    cost = scaled.penalised[:, entering]
    is_kept = np.zeros(scaled.size, bool)
    is_kept[kept] = True
    nearest = (cost < state.first) & ~is_kept
    middle = (cost < state.second) & ~nearest
    second = np.where(nearest, state.first, np.where(middle, cost, state.second))
    runner = np.where(nearest, state.place, np.where(middle, place, state.runner))
    first, places = np.where(nearest, cost, state.first), np.where(nearest, place, state.place)
    lost = (state.place == place) | (state.runner == place)
    lost[[entering, state.kept[place]]] = True
    rows = np.flatnonzero(lost)
    places[rows], runner[rows], first[rows], second[rows] = _nearest_two(scaled, kept, rows)
    return State(kept, places, runner, first, second)


@dataclass(frozen=True, eq=False)
class Changes:
    """What each change adds to the value: swap (n, p) of an inserted unit and a removed place, add (n,), drop (p,)."""

    swap: NDArray[np.float64]
    add: Vector
    drop: Vector


def changes(scaled: Scaled, state: State) -> Changes:
    """Return the change of every swap, addition and removal; +inf for units that may not be kept or are already."""
    size, count = scaled.size, len(state.kept)
    neighbours = scaled.neighbours_within(state.second)
    rows, ranks = np.nonzero(neighbours.costs < state.second[:, None])
    columns, costs = neighbours.columns[rows, ranks], neighbours.costs[rows, ranks]
    is_kept = np.zeros(size, bool)
    is_kept[state.kept] = True
    gains = np.where(is_kept[rows], 0.0, np.maximum(state.first[rows] - costs, 0.0))
    add = scaled.keeping - state.first - np.bincount(columns, gains, minlength=size)
    add[is_kept] = np.inf
    drop = drops(state)
    both = columns * count + state.place[rows]
    saved = np.bincount(both, state.second[rows] - costs - gains, minlength=size * count).astype(np.float64, copy=False)
    saved = saved.reshape(size, count)
    saved[np.arange(size), state.place] += state.second - state.first
    return Changes(add[:, None] + drop[None, :] - saved, add, drop)


def drops(state: State) -> Vector:
    """Return what dropping each kept unit adds to the value, (p,)."""
    return np.bincount(state.place, state.second - state.first, minlength=len(state.kept)).astype(np.float64)


def interchange(scaled: Scaled, kept: Indices, over: Callable[[], bool]) -> State:
    """Swap (and, where fewer may be kept, add and drop) until nothing pays or ``over()``."""
    state = state_of(scaled, kept)
    while len(kept) and not over():
        changed = _best(scaled, state)
        if changed is None or not changed.value < state.value:
            break
        state = changed
    return state


def _best(scaled: Scaled, state: State) -> State | None:
    """Return the state after the best change, or ``None`` where none pays."""
    problem, found = scaled.problem, changes(scaled, state)
    _bar_by_quotas(scaled, state, found)
    entering, place = divmod(int(found.swap.argmin()), len(state.kept))
    add = found.add.min() if problem.at_most and len(state.kept) < problem.n_kept else np.inf
    drop = found.drop.min() if problem.at_most and len(state.kept) > 1 else np.inf
    best = min(found.swap[entering, place], add, drop)
    if not best < -LEAST_GAIN * max(float(np.abs(state.first).sum()), np.finfo(np.float64).tiny):
        return None
    if best == add:
        return state_of(scaled, np.append(state.kept, found.add.argmin()))
    if best == drop:
        return state_of(scaled, np.delete(state.kept, found.drop.argmin()))
    return swapped(scaled, state, place, entering)


def _bar_by_quotas(scaled: Scaled, state: State, found: Changes) -> None:
    for quota in scaled.problem.quotas:
        counts, (least, most) = quota.counts(state.kept), quota.limits
        full = (counts >= most)[quota.labels]
        needed = (counts <= least)[quota.labels[state.kept]]
        same = quota.labels[:, None] == quota.labels[state.kept][None, :]
        found.swap[~same & (full[:, None] | needed[None, :])] = np.inf
        found.add[full] = np.inf
        found.drop[needed] = np.inf
