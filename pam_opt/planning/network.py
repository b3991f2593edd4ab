"""Plan the whole network at once: how many pairs every layer merges, the loss and E[C] of all layers weighed together.

One `NetworkPlan`: least expected MACs within a budget of predicted loss, or least predicted loss within a budget of
expected MACs. The layers then merge the pairs of least predicted loss of these numbers.
"""

from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.readable import Readable, solve_readable
from pam_opt.planning.request import Request
from pam_opt.planning.sharing import Sharing
from pam_opt_solvers import NetworkPlan, Solution, solve


def plan_network(request: Request) -> LayersAndRecords:
    """Decide how much every layer of two parents shares, all layers at once.

    Without a budget, the loss may be what merging `share` of the possible pairs in every layer is predicted to cost:
    the plan costs no more MACs and loses no more than that one, by prediction, and improves on it where layers differ.

    Raises
    ------
    PlanError : more than two tasks, another cost than ``fisher``, a width; a budget that no plan meets
    """
    sharing = Sharing.of(request)
    problem, why = _pose(sharing)

    def run(part: NetworkPlan) -> Solution:
        return solve(part, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads)

    found = solve_readable(problem, run)
    if found.decision is None:
        raise PlanError(f"no plan of the network: {_reason(found)}")
    joint = _record(problem, found, [request.chosen, why])
    return sharing.layers(found.decision), [joint, *sharing.records(found.decision)]


def _pose(sharing: Sharing) -> tuple[NetworkPlan, str]:
    """Return the problem, and where its budget comes from unless the user gave it."""
    request = sharing.request
    if request.macs_budget is not None:
        return sharing.problem(macs_budget=request.macs_budget), ""
    if request.loss_budget is not None:
        return sharing.problem(loss_budget=request.loss_budget), ""
    counts = sharing.uniform()
    budget = sharing.problem(loss_budget=0.0).total_loss(counts)
    return sharing.problem(loss_budget=budget), "budget: the predicted loss of merging the same share in every layer"


def _reason(found: Readable) -> str:
    root = found.solutions[0]
    return f"solver {root.run.solver!r}: {root.run.note if root.status.proven else found.status.value}"


def _record(problem: NetworkPlan, found: Readable, notes: list[str]) -> dict[str, Any]:
    """Write down the joint decision as plain data; the plan's summary reads this record alone."""
    assert found.decision is not None
    run = found.solutions[0].run
    parts = len(found.solutions)
    if parts > 1:
        notes = [*notes, f"{parts} problems, until no layer shared what it could not read"]
    return {
        "layer": "all layers",
        "joint": True,
        "solver": run.solver,
        "backend": f"{run.backend} {run.version}".strip(),
        "note": "; ".join(note for note in [*notes, run.note] if note),
        "status": found.status.name,
        "value": found.value,
        "bound": found.bound,
        "gap": found.gap,
        "minimised": "expected_macs" if problem.minimises_macs else "loss",
        "expected_macs": problem.expected_macs(found.decision),
        "loss": problem.total_loss(found.decision),
        "loss_budget": problem.loss_budget,
        "macs_budget": problem.macs_budget,
        "pairs": int(np.sum(found.decision)),
        "stepwise": False,
        "seconds": sum(solution.build_seconds + solution.solve_seconds for solution in found.solutions),
    }
