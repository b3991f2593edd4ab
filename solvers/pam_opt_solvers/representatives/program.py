"""The strong integer programme of representatives, whole or reduced to what may still be in a better decision."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.assignment import represent

MOST_PAIRS = 1_000_000


def strong_program(problem: Representatives, pairs: NDArray[np.bool_]) -> IntegerProgram:
    """Return the programme over the given pairs (n, n) of a unit and another one.

    Raises
    ------
    SolverUnsuitable
        above a million pairs
    """
    if pairs.sum() > MOST_PAIRS:
        raise SolverUnsuitable(
            f"the integer programme of {problem!r} has {int(pairs.sum())} pairs, more than {MOST_PAIRS}; "
            "use 'lagrangian', which reduces it first"
        )
    return write_program(problem, problem.permitted, problem.keepable, pairs)


def useful_pairs(problem: Representatives) -> NDArray[np.bool_]:
    """Return as (n, n) bool the pairs of a unit and another one that may represent it in some best decision.

    Of the k units that may represent u, at most ``keepable - n_kept`` are not kept. So without capacities its
    nearest kept one is among its ``keepable - n_kept + 1`` nearest.
    """
    pairs = problem.permitted < np.inf
    np.fill_diagonal(pairs, False)
    reach = int(problem.keepable.sum()) - problem.n_kept + 1
    if problem.at_most or problem.binding_capacities is not None or reach >= problem.size - 1:
        return pairs
    others = np.where(pairs, problem.permitted, np.inf)
    limit = np.partition(others, reach - 1, axis=1)[:, reach - 1]
    return pairs & (others <= limit[:, None])


@dataclass(frozen=True)
class _Layout:
    """Variables: first the units that may be kept, then the pairs (unit, representative)."""

    kept: NDArray[np.int64]
    units: NDArray[np.int64]
    representatives: NDArray[np.int64]
    place: NDArray[np.int64]

    @property
    def variables(self) -> int:
        return len(self.kept) + len(self.units)


def write_program(
    problem: Representatives,
    costs: NDArray[np.float64],
    keepable: NDArray[np.bool_],
    pairs: NDArray[np.bool_],
    constant: float = 0.0,
    certain: NDArray[np.bool_] | None = None,
) -> IntegerProgram:
    """Return the programme over the given variables.

    Parameters
    ----------
    costs : (n, n) objective of every pair; the diagonal is that of keeping
    keepable : (n,) units that may be kept
    pairs : (n, n) pairs of a unit and another one that are written; those of other columns are left out
    constant : added to the objective
    certain : (n,) units that must be kept
    """
    kept = np.flatnonzero(keepable)
    units, representatives = np.nonzero(pairs & keepable[None, :])
    place = np.full(problem.size, -1)
    place[kept] = np.arange(len(kept))
    layout = _Layout(kept, units, representatives, place)
    rows = _Rows(layout.variables)
    _write_choices(rows, problem, layout)
    _write_limits(rows, problem, layout)
    if certain is not None and certain.any():
        fixed = place[np.flatnonzero(certain)]
        rows.add(np.arange(len(fixed)), fixed, 1.0, np.ones(len(fixed)), np.ones(len(fixed)))
    integer = np.ones(layout.variables, bool)
    integer[len(kept) :] = problem.binding_capacities is not None
    objective = np.concatenate([np.diagonal(costs)[kept], costs[units, representatives]])
    return IntegerProgram(
        objective=objective,
        matrix=rows.matrix(),
        row_low=np.concatenate(rows.low),
        row_high=np.concatenate(rows.high),
        upper=np.ones(layout.variables),
        integer=integer,
        decode=lambda values: _decode(problem, layout, values),
        terms=problem.size,
        constant=constant,
        row_names=rows.names,
    )


class _Rows:
    """Rows of a sparse matrix, collected block by block."""

    def __init__(self, variables: int) -> None:
        self.variables, self.count = variables, 0
        self.entries: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        self.low: list[NDArray[np.float64]] = []
        self.high: list[NDArray[np.float64]] = []
        self.names: dict[int, str] = {}

    def add(self, rows: Any, columns: Any, values: Any, low: Any, high: Any, name: str = "") -> None:
        """Append ``len(low)`` rows with entries (row within the block, column, value)."""
        values = np.broadcast_to(np.asarray(values, np.float64), np.shape(rows))
        self.entries.append((np.asarray(rows) + self.count, np.asarray(columns), values))
        self.low.append(np.asarray(low, np.float64))
        self.high.append(np.asarray(high, np.float64))
        if name:
            self.names |= dict.fromkeys(range(self.count, self.count + len(low)), name)
        self.count += len(low)

    def matrix(self) -> Any:
        from scipy.sparse import csr_array

        rows, columns, values = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        return csr_array((values, (rows, columns)), shape=(self.count, self.variables))


def _write_choices(rows: _Rows, problem: Representatives, layout: _Layout) -> None:
    """Every unit has one representative, and none that is not kept."""
    first, count = len(layout.kept), len(layout.units)
    pair = first + np.arange(count)
    ones = np.ones(problem.size)
    every = np.concatenate([layout.kept, layout.units])
    rows.add(every, np.arange(layout.variables), 1.0, ones, ones)
    opened = layout.place[layout.representatives]
    both = np.concatenate([np.arange(count), np.arange(count)])
    signs = np.concatenate([np.ones(count), -np.ones(count)])
    rows.add(both, np.concatenate([pair, opened]), signs, np.full(count, -np.inf), np.zeros(count))


def _write_limits(rows: _Rows, problem: Representatives, layout: _Layout) -> None:
    """The count, the quotas and the capacities."""
    opened = np.arange(len(layout.kept))
    least = -np.inf if problem.at_most else problem.n_kept
    rows.add(np.zeros(len(opened), np.int64), opened, 1.0, [least], [problem.n_kept], "n_kept")
    for quota in problem.quotas:
        low, high = quota.limits
        rows.add(quota.labels[layout.kept], opened, 1.0, low, high, f"quota '{quota.name}'")
    capacities = problem.binding_capacities
    if capacities is not None:
        pair = len(layout.kept) + np.arange(len(layout.units))
        lines = np.concatenate([layout.place[layout.representatives], opened])
        limits = np.minimum(capacities, problem.size)[layout.kept]
        values = np.concatenate([np.ones(len(pair)), -limits.astype(np.float64)])
        none = np.full(len(opened), -np.inf)
        rows.add(lines, np.concatenate([pair, opened]), values, none, np.zeros(len(opened)), "capacities")


def _decode(problem: Representatives, layout: _Layout, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the representatives; without capacities the nearest kept ones, as pairs may be left fractional."""
    kept = layout.kept[values[: len(layout.kept)] > 0]
    if problem.binding_capacities is None:
        found = represent(problem, kept)
        return np.full(problem.size, -1) if found is None else found
    decision = np.full(problem.size, -1)
    chosen = values[len(layout.kept) :] > 0
    decision[layout.units[chosen]] = layout.representatives[chosen]
    decision[kept] = kept
    return decision
