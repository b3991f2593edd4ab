"""Exact cluster plans by maximum flow (OR-Tools SimpleMaxFlow, Apache 2.0): push-relabel on integer capacities [1].

[1] A. V. Goldberg and R. E. Tarjan, "A new approach to the maximum-flow problem", J. ACM 35(4), 1988,
    doi:10.1145/48014.61051.
"""

from typing import Any

import numpy as np

from pam_opt_solvers.cluster_plan.cut import CutNetwork
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Feature
from pam_opt_solvers.problems.cluster_plan import ClusterPlan
from pam_opt_solvers.solver import Solver


class MaxFlow(Solver[CutNetwork]):
    """Share what lies on the source's side of a minimum cut."""

    name = "max_flow"
    backend = "ortools"
    module = "ortools.graph.python.max_flow"
    takes = frozenset({"cluster_plan"})
    exact = True
    features = frozenset({Feature.FORBIDDEN})
    description = "exact on integer costs; minimum cut by maximum flow; OR-Tools"

    def _build(self, problem: ClusterPlan, options: Options) -> CutNetwork:
        return CutNetwork.of(problem)

    def _run(self, model: CutNetwork, problem: ClusterPlan, options: Options) -> Outcome:
        from ortools.graph.python import max_flow

        network = max_flow.SimpleMaxFlow()
        arcs: tuple[Any, Any, Any] = model.tails, model.heads, model.capacities
        network.add_arcs_with_capacity(*arcs)
        status = network.solve(model.source, model.sink)
        if status != network.OPTIMAL:
            raise RuntimeError(f"SimpleMaxFlow ended with {status}")
        decision = np.zeros(model.size, np.int64)
        side = np.array(network.get_source_side_min_cut(), np.int64)
        decision[side[side < model.size]] = 1
        return Outcome(Status.OPTIMAL, decision, error=model.scaling.error, note=model.scaling.note)
