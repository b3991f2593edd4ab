"""Exact merging of two parents' units within and across parents: a least-cost matching in a general graph.

Blossom algorithm of networkx (BSD), ``O(N^3)`` in pure Python [1]: seconds at N = 256.

[1] Z. Galil, "Efficient algorithms for finding maximum matching in graphs", ACM Computing Surveys 18(1), 1986,
doi:10.1145/6462.6502.
"""

import math
from typing import Any

import numpy as np

from pam_opt_solvers.multi_pairing.programs import labels_of
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Feature, MultiPairing
from pam_opt_solvers.solver import ALL_FEATURES, Solver

BITS = 2.0**48
"""Costs become whole numbers up to this size: the algorithm is exact on integers."""


class Matching(Solver[Any]):
    """Merge pairs of units at least cost, exactly; two parents only."""

    name = "matching"
    takes = frozenset({"multi_pairing"})
    backend = "networkx"
    exact = True
    features = ALL_FEATURES - {Feature.THREE_PARENTS, Feature.MANY_PARENTS}
    description = "exact for two parents, also within a parent: matching in a general graph"

    def _build(self, problem: MultiPairing, options: Options) -> Any:
        import networkx

        graph = networkx.Graph()
        graph.add_nodes_from(range(problem.n_units))
        gain, step = _gains(problem)
        for u, v in np.argwhere(np.triu(np.isfinite(gain), 1)):
            graph.add_edge(int(u), int(v), weight=round(float(gain[u, v]) / step))
        return graph, step

    def _run(self, model: Any, problem: MultiPairing, options: Options) -> Outcome:
        import networkx

        graph, step = model
        # A full matching of an odd number of units, or of unequal parents, leaves units over.
        pairs = networkx.max_weight_matching(graph, maxcardinality=problem.required is not None)
        if problem.required is not None and len(pairs) < problem.required:
            return Outcome(Status.INFEASIBLE)
        chosen = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        error = step * (problem.n_units // 2) + problem.float_error()
        return Outcome(Status.OPTIMAL, labels_of(chosen, problem.n_units), error=error)


def _gains(problem: MultiPairing) -> tuple[np.ndarray, float]:
    """Return what merging each two units gains, -inf = forbidden or not worth it, and its rounding step."""
    gain = problem.alone[:, None] + problem.alone - problem.merging
    if problem.required is None:
        gain[~(gain > 0)] = -math.inf
    largest = float(np.abs(gain[np.isfinite(gain)]).max(initial=0.0))
    return gain, max(largest / BITS, 5e-324)
