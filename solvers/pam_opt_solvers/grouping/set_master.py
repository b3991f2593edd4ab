"""The linear programme over sets: every joint budget mixes its sets, every unit its groups."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.grouping.patterns import Patterns

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class SetMaster:
    """Price units by the sets that are known so far (Dantzig-Wolfe).

    ``min sum c_up y_up`` with ``sum_p y_up = 1``, ``sum_S z_jS = 1`` and, for every unit and joint budget,
    ``sum_{p counted by j} y_up <= sum_{S of j that holds u} z_jS``. The prices of the last rows say what it is worth
    that a set holds a unit.

    Parameters
    ----------
    patterns : costs of the units, finite where the unit is in no set
    """

    def __init__(self, patterns: Patterns) -> None:
        self.patterns = patterns
        self.units, self.budgets = len(patterns.cost), patterns.counted.shape[1]
        self.pools: list[list[Flags]] = [[] for _ in range(self.budgets)]
        self._seen: set[tuple[int, bytes]] = set()

    def add(self, budget: int, members: Flags) -> bool:
        """Put a set into a budget's pool; return whether it is new."""
        key = budget, np.packbits(members).tobytes()
        if key in self._seen:
            return False
        self._seen.add(key)
        self.pools[budget].append(members)
        return True

    def families(self) -> list[Flags]:
        """Return the pools, (M_j, n) bool each."""
        return [np.array(pool, bool).reshape(-1, self.units) for pool in self.pools]

    def prices(self) -> tuple[float, Floats]:
        """Return the value of the programme and prices (J, n), at least 0."""
        from scipy.optimize import linprog  # here, as the table of solvers imports this module
        from scipy.sparse import coo_array

        cost, n, budgets = self.patterns.cost, self.units, self.budgets
        unit, pattern = np.nonzero(np.isfinite(cost))
        choices = len(unit)
        families = self.families()
        counts = [len(family) for family in families]
        place, budget = np.nonzero(self.patterns.counted[pattern])
        rows, columns, entries = [budget * n + unit[place]], [place], [np.ones(len(place))]
        start = choices
        for index, family in enumerate(families):
            which, member = np.nonzero(family)
            rows.append(index * n + member)
            columns.append(start + which)
            entries.append(-np.ones(len(which)))
            start += len(family)
        joined = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
        owner = np.concatenate([unit, n + np.repeat(np.arange(budgets), counts)])
        found = linprog(
            np.concatenate([cost[unit, pattern], np.zeros(start - choices)]),
            A_ub=coo_array(joined, shape=(budgets * n, start)).tocsr(),
            b_ub=np.zeros(budgets * n),
            A_eq=coo_array((np.ones(start), (owner, np.arange(start))), shape=(n + budgets, start)).tocsr(),
            b_eq=np.ones(n + budgets),
            method="highs-ds",
        )
        if found.status != 0:
            raise SolverFailed(f"the linear programme over sets was not solved: {found.message}; use solver 'cuts'")
        return float(found.fun), np.maximum(-found.ineqlin.marginals, 0.0).reshape(budgets, n)
