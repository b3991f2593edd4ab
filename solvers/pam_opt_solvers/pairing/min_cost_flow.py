"""Exact pairing as a minimum-cost flow (OR-Tools, Apache 2.0) on integer costs [1].

One unit flows from a source through each paired row and column to a sink; the number of pairs is the supply,
so a fixed count costs nothing extra. With opt-outs, what is not worth a pair flows past them for free.

[1] A. V. Goldberg, "An efficient implementation of a scaling minimum-cost flow algorithm", J. Algorithms
22(1), 1997, doi:10.1006/jagm.1995.0805.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.reduction import arcs, integers
from pam_opt_solvers.problems.pairing import PLAIN, Pairing
from pam_opt_solvers.scaling import Scaling
from pam_opt_solvers.solver import Solver

BITS = 40
"""Costs up to 2**40: the backend multiplies them by the number of nodes, which must stay inside int64."""


@dataclass(frozen=True)
class Model:
    """The backend's object, its scaling, and the pair (a, 2) that each of its first arcs stands for."""

    flow: Any
    scaling: Scaling
    pairs: NDArray[np.int64]


class MinCostFlow(Solver[Model]):
    """Send as many units through the pairs as are required, or as pay."""

    name = "min_cost_flow"
    backend = "ortools"
    module = "ortools.graph.python.min_cost_flow"
    exact = True
    features = PLAIN
    description = "exact on integer costs; OR-Tools minimum-cost flow, good for a fixed count"

    def _build(self, problem: Pairing, options: Options) -> Model:
        from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

        rows, columns, weights = arcs(problem)
        scaling = integers(problem, weights, BITS)
        tails, heads, capacities = _network(problem, rows, columns)
        unit_costs = np.zeros(len(tails), np.int64)
        unit_costs[: len(weights)] = scaling.integers
        flow: Any = SimpleMinCostFlow()
        flow.add_arcs_with_capacity_and_unit_cost(tails, heads, capacities, unit_costs)
        source = sum(problem.shape)
        flow.set_node_supply(source, problem.most_pairs)
        flow.set_node_supply(source + 1, -problem.most_pairs)
        return Model(flow, scaling, np.column_stack([rows, columns]))

    def _run(self, model: Model, problem: Pairing, options: Options) -> Outcome:
        found = model.flow.solve()
        if found == model.flow.INFEASIBLE:
            return Outcome(Status.INFEASIBLE)
        if found != model.flow.OPTIMAL:
            raise RuntimeError(f"OR-Tools minimum-cost flow ended with {found}")
        used = model.flow.flows(np.arange(len(model.pairs), dtype=np.int32)) > 0
        return Outcome(Status.OPTIMAL, model.pairs[used], error=model.scaling.error, note=model.scaling.note)

    def worst_seconds(self, problem: Pairing) -> float:
        """Return 1 microsecond for each of n^3 steps: far above what was seen."""
        return 1e-6 * float(sum(problem.shape)) ** 3 / 8 + 0.01


def _network(problem: Pairing, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Return tails, heads and capacities: the pairs, source to rows, columns to sink, source to sink."""
    m, n = problem.shape
    source, sink = m + n, m + n + 1
    lines = np.arange(m + n)
    tails = np.concatenate([rows, np.full(m, source), lines[m:], [source]])
    heads = np.concatenate([columns + m, lines[:m], np.full(n, sink), [sink]])
    capacities = np.ones(len(tails), np.int64)
    capacities[-1] = problem.most_pairs if problem.required is None else 0
    return tails.astype(np.int32), heads.astype(np.int32), capacities
