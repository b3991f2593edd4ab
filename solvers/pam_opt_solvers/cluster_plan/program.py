"""The cluster plan as an integer linear programme: ``y = x_c (1 - x_d)`` for every product."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram

if TYPE_CHECKING:
    from pam_opt_solvers.problems.cluster_plan import ClusterPlan

MOST_PRODUCTS = 2_000_000


def program(problem: "ClusterPlan") -> IntegerProgram:
    """Return the programme of a plan: costs push y down on ``x_c - x_d``, gains up to ``x_c`` and ``1 - x_d``."""
    linear = problem.form.linear
    after, before, values = problem.form.edges()
    if len(values) > MOST_PRODUCTS:
        raise SolverUnsuitable(
            f"{problem!r} has {len(values)} products of pairs; an integer programme takes up to {MOST_PRODUCTS}"
            + ("" if (values < 0).any() else "; use max_flow")
        )
    # A product that must not be made has no variable: its y is 0.
    y = len(linear) + np.cumsum(values < np.inf) - 1
    cost, bar, gain = values > 0, values == np.inf, values < 0
    free = cost & ~bar
    rows = [
        _rows([(after[free], 1.0), (before[free], -1.0), (y[free], -1.0)]),
        _rows([(after[bar], 1.0), (before[bar], -1.0)]),
        _rows([(y[gain], 1.0), (after[gain], -1.0)]),
        _rows([(y[gain], 1.0), (before[gain], 1.0)]),
    ]
    barred = linear == np.inf
    objective = np.concatenate([np.where(barred, 0.0, linear), values[values < np.inf]])
    high = np.concatenate([np.zeros(int(cost.sum() + gain.sum())), np.ones(int(gain.sum()))])
    return IntegerProgram(
        objective=objective,
        matrix=_stacked(rows, len(objective)),
        row_low=np.full(len(high), -np.inf),
        row_high=high,
        upper=np.append(~barred, np.ones(len(objective) - len(linear))).astype(np.float64),
        integer=np.arange(len(objective)) < len(linear),
        decode=lambda x: x[: len(linear)],
        terms=len(objective),
        constant=problem.form.constant,
        worst=8 * float(np.finfo(np.float64).eps) * problem.magnitude,
    )


def _rows(parts: list[tuple[NDArray[np.int64], float]]) -> tuple[Any, Any, int]:
    """Return columns and coefficients, both (rows, parts), of rows of equal pattern, and how many they are."""
    columns = np.column_stack([columns for columns, _ in parts])
    values = np.broadcast_to([value for _, value in parts], columns.shape)
    return columns, values, len(columns)


def _stacked(blocks: list[tuple[Any, Any, int]], n_variables: int) -> Any:
    from scipy.sparse import csr_array

    starts = np.cumsum([0, *(count for *_, count in blocks)])
    ids = [
        np.repeat(start + np.arange(count), columns.shape[1])
        for start, (columns, _, count) in zip(starts, blocks, strict=False)
    ]
    columns = np.concatenate([columns.ravel() for columns, *_ in blocks])
    values = np.concatenate([values.ravel() for _, values, _ in blocks])
    return csr_array((values, (np.concatenate(ids), columns)), shape=(starts[-1], n_variables))
