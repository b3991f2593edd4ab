"""Exact pairing by networkx (BSD): the blossom algorithm in pure Python, a check for small problems.

On integer costs, where networkx computes exactly; ``O(N^3)`` in slow steps [1].

[1] Z. Galil, "Efficient algorithms for finding maximum matching in graphs", ACM Computing Surveys 18(1),
1986, doi:10.1145/6462.6502.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.reduction import integers, real_pairs, square_form
from pam_opt_solvers.problems.pairing import PLAIN, Pairing
from pam_opt_solvers.scaling import Scaling
from pam_opt_solvers.solver import Solver

BITS = 50


@dataclass(frozen=True)
class Model:
    """The graph, its scaling, and the number N of its nodes on one side."""

    graph: Any
    scaling: Scaling
    size: int


class Networkx(Solver[Model]):
    """Match the square form as a general graph of N + N nodes."""

    name = "networkx"
    backend = "networkx"
    exact = True
    features = PLAIN
    description = "exact on integer costs; blossom algorithm of networkx in pure Python, for small problems"

    def _build(self, problem: Pairing, options: Options) -> Model:
        import networkx

        square = square_form(problem)
        permitted = square < np.inf
        rows, columns = np.nonzero(permitted)
        scaling = integers(problem, square[permitted], BITS, terms=len(square))
        costs = scaling.integers
        gains = int(costs.max()) - costs
        graph = networkx.Graph()
        graph.add_weighted_edges_from(zip(rows.tolist(), (columns + len(square)).tolist(), gains.tolist(), strict=True))
        return Model(graph, scaling, len(square))

    def _run(self, model: Model, problem: Pairing, options: Options) -> Outcome:
        import networkx

        matching = networkx.max_weight_matching(model.graph, maxcardinality=True)
        if len(matching) < model.size:
            return Outcome(Status.INFEASIBLE)
        ordered = np.array([sorted(edge) for edge in matching], np.int64)
        pairs = real_pairs(problem, ordered[:, 0], ordered[:, 1] - model.size)
        return Outcome(Status.OPTIMAL, pairs, error=model.scaling.error, note=model.scaling.note)
