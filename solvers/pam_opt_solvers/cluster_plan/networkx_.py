"""Exact cluster plans by networkx (BSD): a minimum cut in pure Python, to be read and to check by; for small plans.

Preflow-push on whole capacities, on which networkx computes exactly [1].

[1] A. V. Goldberg and R. E. Tarjan, "A new approach to the maximum-flow problem", J. ACM 35(4), 1988,
    doi:10.1145/48014.61051.
"""

import numpy as np

from pam_opt_solvers.cluster_plan.cut import CutNetwork
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Feature
from pam_opt_solvers.problems.cluster_plan import ClusterPlan
from pam_opt_solvers.solver import Solver


class Networkx(Solver[CutNetwork]):
    """Share what lies on the source's side of a minimum cut."""

    name = "networkx"
    backend = "networkx"
    takes = frozenset({"cluster_plan"})
    exact = True
    features = frozenset({Feature.FORBIDDEN})
    description = "exact on integer costs; minimum cut of networkx in pure Python, for small problems"

    def _build(self, problem: ClusterPlan, options: Options) -> CutNetwork:
        return CutNetwork.of(problem)

    def _run(self, model: CutNetwork, problem: ClusterPlan, options: Options) -> Outcome:
        import networkx

        graph = networkx.DiGraph()
        graph.add_nodes_from(range(model.size + 2))
        arcs = zip(model.tails.tolist(), model.heads.tolist(), model.capacities.tolist(), strict=True)
        graph.add_weighted_edges_from(arcs, weight="capacity")
        _, (side, _) = networkx.minimum_cut(graph, model.source, model.sink)
        decision = np.array([node in side for node in range(model.size)], np.int64)
        return Outcome(Status.OPTIMAL, decision, error=model.scaling.error, note=model.scaling.note)
