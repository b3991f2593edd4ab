"""Exact merging of any number of parents, within parents too, on small layers: pairs, and triangle rows as needed.

The linear relaxation over pairs is solved and the triangle rows that it violates are added until none is [1]; then the
same with whole variables (HiGHS, by scipy). The bound of every round is true, for it lacks rows only.

[1] M. Groetschel, Y. Wakabayashi, "A cutting plane algorithm for a clustering problem", Mathematical Programming 45,
1989, doi:10.1007/BF01589097.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.highs import milp
from pam_opt_solvers.multi_pairing.programs import PairRows
from pam_opt_solvers.multi_pairing.rematching import Rematching, scale_of
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import MultiPairing
from pam_opt_solvers.scipy_milp import BITS, INCREMENT, TOLERANCE
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

MOST_UNITS = 400
MOST_ROWS = 4000
"""Violated rows that one round adds."""


class TriangleCuts(Solver[PairRows]):
    """Solve pairs with the triangle rows that turn out to be needed."""

    name = "triangle_cuts"
    takes = frozenset({"multi_pairing"})
    backend = "scipy"
    module = "scipy.optimize"
    exact = True
    description = "exact on small layers, any parents, within them too; pairs with lazy triangle rows"

    def _build(self, problem: MultiPairing, options: Options) -> PairRows:
        if problem.n_units > MOST_UNITS:
            raise SolverUnsuitable(
                f"triangle_cuts takes at most {MOST_UNITS} units, not {problem.n_units}; use column_generation "
                "(three parents), local_search or matching (two parents)"
            )
        return PairRows.of(problem)

    def _run(self, model: PairRows, problem: MultiPairing, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        search.raise_bound(problem.trivial_bound())
        if not problem.within:
            _start(search, problem)
        rounds = Rounds(model, search)
        finished = rounds.run(whole=False) and rounds.run(whole=True)
        error = rounds.error + problem.float_error() if finished else 0.0
        return search.outcome(note=f"{rounds.n_rows} triangle rows", finished=finished, error=error)


def _start(search: Search, problem: MultiPairing) -> None:
    model = Rematching(problem)
    labels = model.labels(model.polish(model.sequential(np.argsort(problem.sizes, kind="stable")), search.deadline))
    if not problem.violations(labels):
        search.offer(labels)


class Rounds:
    """Solve, add the violated triangle rows, repeat.

    Parameters
    ----------
    model : the programme without its triangle rows
    search : where decisions and bounds go
    """

    def __init__(self, model: PairRows, search: Search) -> None:
        self.model, self.search = model, search
        self.scale = scale_of(model.problem) * 2.0**BITS
        self.error = (INCREMENT + TOLERANCE * (model.problem.most_terms + model.problem.n_units)) / self.scale
        self._cuts: list[Any] = []
        self._seen: set[tuple[int, int, int]] = set()

    @property
    def n_rows(self) -> int:
        """Triangle rows so far."""
        return len(self._seen)

    def run(self, *, whole: bool) -> bool:
        """Repeat until no row is violated; False if time ran out first."""
        while not self.search.out_of_time:
            result = self._solve(whole)
            if result.status == 2:
                # Nothing satisfies the rows, so nothing satisfies the problem.
                return self.search.decision is None
            if result.x is None or (result.status not in (0, 1)):
                return False
            if result.mip_dual_bound is not None and math.isfinite(result.mip_dual_bound):
                bound = result.mip_dual_bound / self.scale - self.error
                self.search.raise_bound(min(self.search.value, bound))
            if result.status != 0:
                return False
            if not self._add_violated(result.x, 0.5 if whole else 1e-3):
                if whole:
                    self.search.offer(self.model.decode(np.rint(result.x).astype(np.int64)))
                return True
        return False

    def _solve(self, whole: bool) -> Any:
        model, count = self.model, len(self.model.objective)
        rows = [(model.matrix, model.low, model.high), *((cut, -np.inf, 1.0) for cut in self._cuts)]
        left = self.search.seconds_left
        limit = max(left, 0.01) if math.isfinite(left) else None
        return milp(model.objective * self.scale, rows, np.ones(count), np.full(count, whole), limit)

    def _add_violated(self, x: NDArray[np.float64], least: float) -> int:
        found = self._violated(x, least)
        if len(found[0]):
            self._cuts.append(self.model.rows_of(found))
        return len(found[0])

    def _violated(self, x: NDArray[np.float64], least: float) -> NDArray[np.int64]:
        """Return (3, t) units of triangle rows that are violated by more than ``least``, the worst first."""
        problem, n = self.model.problem, self.model.problem.n_units
        share = np.zeros((n, n))
        share[self.model.first, self.model.second] = x[: self.model.n_pairs]
        share += share.T
        apart = problem.within | (problem.parent[:, None] != problem.parent)
        found: list[tuple[float, tuple[int, int, int]]] = []
        for middle in range(n):
            near = np.flatnonzero(share[middle] > 1e-6)
            excess = share[middle, near][:, None] + share[middle, near] - share[np.ix_(near, near)] - 1.0
            for a, b in np.argwhere(np.triu((excess > least) & apart[np.ix_(near, near)], 1)):
                key = (int(near[a]), middle, int(near[b]))
                if key not in self._seen:
                    found.append((-float(excess[a, b]), key))
        chosen = [key for _, key in sorted(found)[:MOST_ROWS]]
        self._seen.update(chosen)
        return np.array(chosen, np.int64).reshape(-1, 3).T
