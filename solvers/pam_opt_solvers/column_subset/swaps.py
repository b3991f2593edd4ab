"""Swaps: greedy selection, then exchanges of one kept unit for one other until none helps.

To drop the kept unit j changes the residual by ``R + q q'`` with ``q = G_:S A e_j / sqrt(A_jj)`` and
``A = (G_SS + ridge)^-1``, and costs ``sum_u importance_u q_u^2``; what each other unit would then gain follows from one
product of R with a vector. A pass tries all kept units, the least harmful to drop first.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.column_subset.forward import forward
from pam_opt_solvers.column_subset.residual import Residual
from pam_opt_solvers.column_subset.start import SECONDS_PER_PRODUCT, begin, greedy_within_limit
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import ColumnSubset, Feature
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Indices = NDArray[np.int64]

PROGRESS = 1e-9
"""Part of what dropping costs by which adding must gain more: rounding must not make circles."""

EIGENVALUES = 2e-10
"""Seconds that the spectral bound takes, over n^3."""

AFFORDABLE = 0.25
"""Part of the time that the spectral bound may take where the problem does not give it anyway."""


@dataclass
class Exchange:
    """Kept units, their residual, and what exchanging needs: all kept in step.

    Parameters
    ----------
    kept : (p,) all kept units; the first ``len(inverse)`` are independent, the others explain nothing more
    inverse : (rank, rank) float64, inverse of their Gram matrix with the ridge
    rows : (rank, n) float64, their rows of the Gram matrix
    """

    problem: ColumnSubset
    kept: Indices
    residual: Residual
    inverse: NDArray[np.float64]
    rows: NDArray[np.float64]

    @classmethod
    def of(cls, problem: ColumnSubset, kept: Indices) -> "Exchange":
        """Set up the kept units; those that explain nothing are replaced where something is left to explain."""
        scaled = problem.scaled
        basis, explained = scaled.explained(kept)
        residual = Residual(scaled, explained)
        if len(basis) < len(kept):
            more = [unit for unit, _ in forward(problem, residual, basis, len(kept))]
            kept = np.concatenate([basis, more]).astype(np.int64)
            basis, explained = scaled.explained(kept)
            residual = Residual(scaled, explained)
        inner = scaled.gram[np.ix_(basis, basis)] + np.diag(scaled.ridge[basis])
        kept = np.concatenate([basis, np.setdiff1d(kept, basis)])
        return cls(problem, kept, residual, _inverse(inner), scaled.gram[basis])

    def harms(self) -> NDArray[np.float64]:
        """Return ``(rank,)``: by how much the value rises when each independent unit is dropped."""
        terms = self.inverse @ self.rows
        return np.einsum("ku,ku,u->k", terms, terms, self.residual.importance) / self.inverse.diagonal()

    def try_slot(self, slot: int) -> bool:
        """Exchange the unit in ``slot`` for the best other one if that helps; return whether it did."""
        term = self.inverse[slot] @ self.rows / np.sqrt(self.inverse[slot, slot])
        harm = float(self.residual.importance @ (term * term))
        squares, variances = self.residual.changed(term, -1.0)
        gains = self.residual.gains_of(squares, variances)
        others = self.problem.may_follow(np.delete(self.kept, slot))
        others[self.kept[slot]] = False
        gains = np.where(others, gains, -1.0)
        unit = int(gains.argmax())
        if not gains[unit] > harm * (1 + PROGRESS) + self.residual.noise:
            return False
        self._put(slot, unit, term)
        return True

    def _put(self, slot: int, unit: int, term: NDArray[np.float64]) -> None:
        self.residual.change(term, -1.0)
        pivot = self.residual.variances[unit] + self.residual.ridge[unit]
        self.residual.keep(unit)
        column = self.inverse[slot].copy()
        without = self.inverse - column[:, None] * (column / column[slot])
        without[slot] = without[:, slot] = 0.0
        border = without @ self.rows[:, unit]
        border[slot] = -1.0
        self.inverse = without + border[:, None] * (border / pivot)
        self.kept[slot] = unit
        self.rows[slot] = self.problem.scaled.gram[unit]


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


class Swaps(Solver[Residual]):
    """Keep exchanging single units while that lowers the value; a local optimum, anytime."""

    name = "swaps"
    takes = frozenset({"column_subset"})
    exact = False
    features = frozenset({Feature.QUOTAS, Feature.FORBIDDEN})
    description = "heuristic; greedy, then exchanges to a local optimum; anytime"
    stops_itself = True

    def _build(self, problem: ColumnSubset, options: Options) -> Residual:
        return Residual(problem.scaled)

    def _run(self, model: Residual, problem: ColumnSubset, options: Options) -> Outcome:
        search = begin(problem, options.time_limit)
        start = greedy_within_limit(problem, model, search)
        if search.out_of_time:
            return Outcome(Status.TIME_LIMIT, start)
        search.offer(np.sort(start))
        if EIGENVALUES * problem.size**3 < AFFORDABLE * search.seconds_left:
            search.raise_bound(problem.spectral_bound())
        improved = improve(problem, start, search)
        outcome = search.outcome()
        stopped = outcome.status is Status.FEASIBLE and not improved
        return replace(outcome, status=Status.TIME_LIMIT) if stopped else outcome


def improve(problem: ColumnSubset, kept: Indices, search: Search) -> bool:
    """Exchange until a whole pass finds nothing, offering what is found; return whether time sufficed for that."""
    setup_seconds = SECONDS_PER_PRODUCT * problem.n_kept * problem.size * (problem.size + 2 * problem.n_kept)
    every = max(1, problem.n_kept**2 * problem.size // 10**8)  # to offer is to recompute the value
    value = search.value
    while not search.closed:
        if search.seconds_left < setup_seconds:
            return False
        exchange = Exchange.of(problem, kept)
        found = 0
        for slot in np.argsort(exchange.harms(), kind="stable"):
            if search.over:
                break
            if exchange.try_slot(int(slot)):
                found += 1
                if found % every == 0:
                    search.offer(np.sort(exchange.kept))
        reached = problem.value(exchange.kept)
        if not reached < value:  # nothing found, or nothing but rounding
            break
        kept, value = exchange.kept, reached
        search.offer(np.sort(kept))
    return search.closed or not search.out_of_time
