"""Repair and improvement of groupings under joint budgets: single moves, judged by the set functions themselves."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.moves import ROUNDING, State, repair
from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.search import Search

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


class JointState(State):
    """A decision that is changed in place, and for every joint budget what its set would be worth with a unit more."""

    def __init__(self, normal: Normal, decision: Indices) -> None:
        super().__init__(normal, decision)
        self.joint = normal.problem.joint
        self.charged = np.array([budget.groups for budget in self.joint], bool).reshape(-1, normal.shape[1])
        self._known: dict[int, tuple[bytes, Floats]] = {}

    def members(self, index: int) -> Indices:
        """Return the units that a joint budget counts."""
        return np.flatnonzero(self.charged[index][self.decision])

    def value(self, index: int) -> float:
        """Return the value of a joint budget's set."""
        return self.joint[index].function.value(self.members(index))

    def added(self, index: int) -> Floats:
        """Return (n,) the value of a joint budget's set with each unit in it."""
        members = self.members(index)
        key = members.tobytes()
        if index not in self._known or self._known[index][0] != key:
            self._known[index] = key, self.joint[index].function.added(members)
        return self._known[index][1]

    def fits(self) -> Flags:
        """Return (n, G) the moves that break neither a linear budget nor a joint one that they enter."""
        fits = np.asarray((self.use + self.changes() <= 1.0 + ROUNDING).all(axis=2))
        for index, budget in enumerate(self.joint):
            entering = (self.added(index) > budget.limit) & ~self.charged[index][self.decision]
            fits &= ~(entering[:, None] & budget.groups)
        return fits

    def walk(self, units: Indices, groups: Indices, enough: Floats | None = None, excess: float = np.inf) -> bool:
        """Make moves in order, each unit once and each joint budget entered once, so that what fitted still fits.

        Parameters
        ----------
        units, groups : (m,) the moves
        enough, excess : (m,) what each is good for, and at what sum to stop
        """
        entered, moved = np.zeros(len(self.joint), bool), set()
        for place, (unit, group) in enumerate(zip(units.tolist(), groups.tolist(), strict=True)):
            loads = self.normal.by_choice[unit]
            enters = self.charged[:, group] & ~self.charged[:, self.decision[unit]]
            fits = (self.use + loads[group] - loads[self.decision[unit]] <= 1.0 + ROUNDING).all()
            if unit in moved or not fits or (enters & entered).any():
                continue
            self.move(unit, group)
            moved.add(unit)
            entered |= enters
            excess -= 0.0 if enough is None else enough[place]
            if excess <= 0:
                break
        return bool(moved)


def make_valid(normal: Normal, decision: Indices, search: Search) -> JointState | None:
    """Return a decision with single moves that make it keep every budget; ``None`` where they lead nowhere."""
    state = JointState(normal, decision)
    if not (repair(state, np.zeros(len(normal.kept))) and _repair(state, search)):
        return None
    return None if normal.problem.violations(state.decision) else state


def complete(normal: Normal, decision: Indices, search: Search) -> None:
    """Make a decision valid if that is possible here, improve and offer it."""
    state = make_valid(normal, decision, search)
    if state is None:
        return
    search.offer(state.decision)
    _improve(state, search)
    if not normal.problem.violations(state.decision):
        search.offer(state.decision)


def _repair(state: JointState, search: Search) -> bool:
    """Move units until every joint budget is kept; return whether that succeeded."""
    while not search.out_of_time:
        broken = [index for index, budget in enumerate(state.joint) if state.value(index) > budget.limit]
        if not broken:
            return True
        if not _relieve(state, broken[0]):
            return False
    return False


def _relieve(state: JointState, index: int) -> bool:
    """Move units out of the groups of a joint budget, least cost per value removed first, till half the excess is gone.

    No other joint budget gets broken, so every one needs this only until it is kept.
    """
    budget, members = state.joint[index], state.members(index)
    value = budget.function.value(members)
    falls = np.zeros(len(state.decision))
    falls[members] = np.maximum(value - budget.function.removed(members), 0.0)
    permitted = state.fits() & ~budget.groups & (falls > 0)[:, None]
    gains = np.where(permitted, state.gains(state.normal.extra), np.inf)
    group = gains.argmin(axis=1)
    best = gains[np.arange(len(gains)), group]
    score = np.where(best > 0, best / np.maximum(falls, 1e-300), best)
    order = np.argsort(score, kind="stable")
    order = order[np.isfinite(score[order])]
    return state.walk(order, group[order], 2 * falls[order], value - budget.limit)


def _improve(state: JointState, search: Search) -> None:
    """Move single units to cheaper groups as long as all budgets have room."""
    while not search.over:
        gains = np.where(state.fits(), state.gains(state.normal.extra), np.inf)
        units, groups = np.nonzero(gains < 0)
        order = np.argsort(gains[units, groups], kind="stable")
        if not state.walk(units[order], groups[order]):
            return
