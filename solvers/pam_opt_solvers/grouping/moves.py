"""Repair and local improvement of groupings: units that change their group, one or two at a time."""

import math
import time

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.normal import Normal

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

CORE = 300
"""Moves among which pairs are looked for: those that cost least at the prices."""

ROUNDING = 1e-12
"""What a sum of loads may lose to rounding, far inside the tolerance of budgets."""


class State:
    """A decision that is changed in place, with its use of the budgets.

    Parameters
    ----------
    normal : the problem
    decision : (n,) groups, copied
    """

    def __init__(self, normal: Normal, decision: Indices) -> None:
        self.normal = normal
        self.decision = decision.copy()
        self.use = normal.use(decision)

    @property
    def over(self) -> float:
        """Sum over the budgets of the part of the limit by which each is passed."""
        return _excess(self.use)

    def changes(self) -> Floats:
        """Return (n, G, B) what every move changes in the use of the budgets."""
        loads = self.normal.by_choice
        return loads - loads[np.arange(len(loads)), self.decision][:, None, :]

    def gains(self, costs: Floats) -> Floats:
        """Return (n, G) what every move changes in ``costs`` (n, G); +inf for moves that are not permitted or none."""
        units = np.arange(len(costs))
        change = costs - costs[units, self.decision][:, None]
        change[units, self.decision] = np.inf
        return change

    def move(self, unit: int, group: int) -> None:
        """Put a unit into a group."""
        loads = self.normal.by_choice[unit]
        self.use += loads[group] - loads[self.decision[unit]]
        self.decision[unit] = group

    def refresh(self) -> None:
        """Sum the use anew, so that rounding of many moves does not add up."""
        self.use = self.normal.use(self.decision)


def repair(state: State, prices: Floats) -> bool:
    """Move units until no budget is passed, cheapest per excess removed first; return whether that succeeded."""
    costs = state.normal.priced(prices)
    while state.over > 0:
        changes, costly = state.changes(), state.gains(costs)
        removed = state.over - np.maximum(state.use + changes - 1.0 - ROUNDING, 0.0).sum(axis=2)
        useful = (removed > ROUNDING) & (costly < np.inf)
        if not useful.any():
            return False
        # A move that even gains goes first, the more the better; per excess removed only what costs is compared.
        score = np.where(costly > 0, costly / np.maximum(removed, ROUNDING), costly)
        units, groups = np.nonzero(useful)
        order = np.argsort(score[units, groups], kind="stable")
        _walk(state, units[order], groups[order])
        state.refresh()
    return True


def _walk(state: State, units: Indices, groups: Indices) -> None:
    """Make those of the moves, in order, that still remove at least half of what they promised."""
    moved = np.zeros(len(state.decision), bool)
    loads = state.normal.by_choice
    first = state.over
    for unit, group in zip(units.tolist(), groups.tolist(), strict=True):
        if moved[unit]:
            continue
        change = loads[unit, group] - loads[unit, state.decision[unit]]
        before, after = state.over, _excess(state.use + change)
        if after < before:
            state.move(unit, group)
            moved[unit] = True
        if after == 0 or state.over < 0.5 * first:
            return


def _excess(use: Floats) -> float:
    return float(np.maximum(use - 1.0 - ROUNDING, 0.0).sum())


def improve(state: State, prices: Floats, deadline: float = math.inf) -> None:
    """Move single units and pairs of units as long as that saves cost within the budgets, until ``deadline``."""
    while (improve_singly(state) or _improve_in_pairs(state, prices)) and time.perf_counter() < deadline:
        state.refresh()


def improve_singly(state: State) -> bool:
    """Move units to cheaper groups where the budgets have room, most saved first; return whether any moved."""
    gains = state.gains(state.normal.extra)
    fits = (gains < 0) & (state.use + state.changes() <= 1.0 + ROUNDING).all(axis=2)
    units, groups = np.nonzero(fits)
    order = np.argsort(gains[units, groups], kind="stable")
    loads, moved = state.normal.by_choice, set()
    for unit, group in zip(units[order].tolist(), groups[order].tolist(), strict=True):
        change = loads[unit, group] - loads[unit, state.decision[unit]]
        if unit not in moved and (state.use + change <= 1.0 + ROUNDING).all():
            state.move(unit, group)
            moved.add(unit)
    return bool(moved)


def _improve_in_pairs(state: State, prices: Floats) -> bool:
    priced = state.gains(state.normal.priced(prices))
    flat = priced.ravel()
    count = min(CORE, flat.size)
    core = np.argpartition(flat, count - 1)[:count]
    core = core[np.isfinite(flat[core])]
    units, groups = np.divmod(core, priced.shape[1])
    gains = state.gains(state.normal.extra)[units, groups]
    changes = state.changes()[units, groups]
    saved = gains[:, None] + gains[None, :]
    scale = float(np.abs(gains).max(initial=0.0))
    first, second = np.nonzero(np.triu(saved < -1e-12 * scale, 1) & (units[:, None] != units[None, :]))
    fits = (state.use + changes[first] + changes[second] <= 1.0 + ROUNDING).all(axis=1)
    first, second = first[fits], second[fits]
    if not len(first):
        return False
    order = np.argsort(saved[first, second], kind="stable")
    moved: set[int] = set()
    for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
        pair = {int(units[a]), int(units[b])}
        if not pair & moved and (state.use + changes[a] + changes[b] <= 1.0 + ROUNDING).all():
            state.move(int(units[a]), int(groups[a]))
            state.move(int(units[b]), int(groups[b]))
            moved |= pair
        if len(moved) > 40:
            break
    return True
