"""Repair and improvement of groupings under joint budgets: single moves, judged by the set functions themselves."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.moves import ROUNDING, State, repair
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.search import Search

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def repair_jointly(state: State, search: Search) -> bool:
    """Move units until joint and linear budgets are kept; return whether that succeeded."""
    joint = state.normal.problem.joint
    while not search.out_of_time:
        broken = [budget for budget in joint if _value(state, budget) > budget.limit]
        if not broken:
            return state.over == 0
        if not _relieve(state, broken[0]):
            return False
    return False


def _relieve(state: State, budget: JointBudget) -> bool:
    """Move units out of the groups of a joint budget, least cost per value removed first, till most excess is gone."""
    members = state.normal.problem.members(state.decision, budget.groups)
    removed = budget.function.removed(members)
    value = budget.function.value(members)
    falls = np.zeros(len(state.decision))
    falls[members] = np.maximum(value - removed, 0.0)
    gains = np.where(_fits(state) & ~budget.groups, state.gains(state.normal.extra), np.inf)
    gains[falls <= 0] = np.inf
    group = gains.argmin(axis=1)
    best = gains[np.arange(len(gains)), group]
    score = np.where(best > 0, best / np.maximum(falls, 1e-300), best)
    order = np.argsort(score, kind="stable")
    excess, moved = value - budget.limit, False
    watched = np.any([other.groups for other in state.normal.problem.joint], axis=0)
    for unit in order[np.isfinite(score[order])].tolist():
        change = state.normal.by_choice[unit, group[unit]] - state.normal.by_choice[unit, state.decision[unit]]
        if not (state.use + change <= 1.0 + ROUNDING).all():
            continue
        state.move(unit, int(group[unit]))
        moved = True
        if watched[group[unit]]:
            break  # another joint budget has less room now, so what fits must be found anew
        excess -= 2 * falls[unit]  # half the way at once, then the set function is asked again
        if excess <= 0:
            break
    return moved


def improve_jointly(state: State, search: Search) -> None:
    """Move single units to cheaper groups as long as all budgets have room."""
    while not search.over:
        gains = np.where(_fits(state), state.gains(state.normal.extra), np.inf)
        unit, group = np.unravel_index(int(gains.argmin()), gains.shape)
        if not gains[unit, group] < 0:
            return
        state.move(int(unit), int(group))


def _fits(state: State) -> Flags:
    """Return (n, G) the moves that break neither a linear budget nor a joint one that they enter."""
    fits = (state.use + state.changes() <= 1.0 + ROUNDING).all(axis=2)
    problem = state.normal.problem
    for budget in problem.joint:
        inside = budget.groups[state.decision]
        entering = budget.function.added(np.flatnonzero(inside)) > budget.limit
        fits &= ~((entering & ~inside)[:, None] & budget.groups)
    return fits


def _value(state: State, budget: JointBudget) -> float:
    return budget.function.value(state.normal.problem.members(state.decision, budget.groups))


def complete(state: State, search: Search) -> bool:
    """Make a decision valid if that is possible here, improve and offer it; return whether it was valid."""
    prices = np.zeros(len(state.normal.kept))
    if not (repair(state, prices) and repair_jointly(state, search)):
        return False
    improve_jointly(state, search)
    if state.normal.problem.violations(state.decision):
        return False
    search.offer(state.decision)
    return True
