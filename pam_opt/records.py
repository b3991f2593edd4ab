"""Records of plans: what a solver did for one decision, as plain data."""

from typing import Any

import numpy as np

from pam_opt_solvers import Solution


def pairing_record(solution: Solution, cost: np.ndarray, layer: str, task: str, *, stepwise: bool) -> dict[str, Any]:
    """Write down how a layer's units of a parent were paired with those before it.

    Parameters
    ----------
    cost : (m, n) as handed to the solver
    stepwise : see `pam_opt.Plan.summary`
    """
    pairs = solution.pairs if solution.pairs is not None else np.empty((0, 2), dtype=int)
    return {
        "layer": layer,
        "parent": task,
        "solver": solution.run.solver,
        "backend": f"{solution.run.backend} {solution.run.version}".strip(),
        "note": solution.run.note,
        "status": solution.status.name,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "stepwise": stepwise,
        "pairs": len(pairs),
        "pair_cost": float(cost[pairs[:, 0], pairs[:, 1]].sum()),
        "seconds": solution.build_seconds + solution.solve_seconds,
    }


def kept_record(layer: str, reason: str) -> dict[str, Any]:
    """Write down that nothing was decided for a layer, because its units stay with their task."""
    return {
        "layer": layer,
        "solver": "none",
        "backend": "",
        "note": f"kept per task: {reason}",
        "status": "OPTIMAL",
        "value": 0.0,
        "bound": 0.0,
        "gap": 0.0,
        "stepwise": False,
        "seconds": 0.0,
    }
