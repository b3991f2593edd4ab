"""Plan by joint pairing: the pairs of all layers at once, so that what a layer's units feed counts as well."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.folding import fold
from pam_opt.network import MultitaskNetwork
from pam_opt.planning.clusters import Clusters, unit_costs
from pam_opt.planning.controls import LayersAndRecords, most_important
from pam_opt.planning.request import Request
from pam_opt.plans import own_groups
from pam_opt_solvers import FIXED, JointPairing, LayerPair, Solution, solve

WEIGHTS = "weights"
"""The cost that is the joint problem itself; every other cost is added to it."""


def plan_joint(request: Request) -> LayersAndRecords:
    """Pair all units of two parents of equal widths one to one, all layers in one `JointPairing`.

    With ``cost="weights"``, the default, this is the weight matching of Git Re-Basin [1]_: least squared distance
    between all weights and biases of the hidden layers, batch norms folded in, a unit's incoming and outgoing weights
    alike. Its value is in squared weights, no loss. The heads are left out: their outputs mean something else for
    every task, so that no output of one parent is comparable with one of the other.

    With an activation cost, ``fisher`` or ``correlation``, the costs of the pairs of that name are added as linear
    costs, and the weights of each layer are scaled so that the squared distance of unrelated weights,
    ``|A|^2 + |B|^2``, is the mean total cost of pairing that layer's units at random. The value is then in units
    of the cost (``fisher``: of the loss), but only its linear part predicts anything: the scaled weights are there so
    that pairs also fit the layers around them.

    Raises
    ------
    PlanError : more than two parents, layers of different widths, or a `share` or `loss_budget`, since all units pair

    References
    ----------
    .. [1] S. K. Ainsworth, J. Hayase and S. Srinivasa, Git Re-Basin: merging models modulo permutation symmetries,
       ICLR 2023, arXiv:2209.04836
    """
    _check(request)
    problem = joint_problem(request)
    solution = solve(problem, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads)
    if solution.decision is None:
        raise PlanError(f"joint pairing: solver {solution.run.solver!r} found no pairs: {solution.status.value}")
    layers = []
    for index, permutation in enumerate(problem.split(solution.decision)):
        kept = most_important(_paired(request, index, permutation), request.kept(index), each_parent=True)
        layers.append(kept.plan(own_groups(kept.members, request.tasks)))
    return layers, [_record(request, solution)] if layers else []


def joint_problem(request: Request) -> JointPairing:
    """Build the problem of a whole network: one space for the units of each hidden layer.

    Parameters
    ----------
    request : of two parents of equal widths
    """
    sizes = tuple(request.units(index)[0] for index in range(len(request.statistics.layers)))
    linear = None if request.cost == WEIGHTS else [_activation_cost(request, index) for index in range(len(sizes))]
    pairs = []
    for index in range(len(sizes)):
        scale = 1.0 if linear is None else _scale(request, index, linear[index])
        pairs += _layer_pairs(request.parents, index, scale)
    return JointPairing(sizes, tuple(pairs), None if linear is None else tuple(linear))


def _check(request: Request) -> None:
    if len(request.tasks) != 2:
        raise PlanError(
            f"problem='joint' pairs two parents, not {len(request.tasks)}; use problem='pairing', which takes the "
            "parents one after the other"
        )
    for index, layer in enumerate(request.statistics.layers):
        one, two = request.units(index)
        if one != two:
            raise PlanError(
                f"problem='joint' pairs all units one to one, but layer {layer.name!r} has {one} and {two}; use "
                "problem='pairing', where units may stay single"
            )
    if request.loss_budget is not None or any(share != 1.0 for share in request.shares.values()):
        raise PlanError("problem='joint' pairs all units: share= and loss_budget= do not apply; use problem='pairing'")


def _layer_pairs(parents: Mapping[str, MultitaskNetwork], index: int, scale: float) -> list[LayerPair]:
    """Return the layer's weights and its biases, both batch-norm folded and multiplied by `scale`."""
    (weight_a, bias_a), (weight_b, bias_b) = (_folded(parents, task, index) for task in parents)
    weights = LayerPair(scale * weight_a, scale * weight_b, index, index - 1 if index else FIXED)
    return [weights, LayerPair(scale * bias_a, scale * bias_b, index, FIXED)]


def _folded(parents: Mapping[str, MultitaskNetwork], task: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a parent's weights (units, inputs, area) and biases (units, 1), batch norm folded in."""
    parent = parents[task]
    folded = fold(parent.block(index, frozenset({task})), parent.structure.layers[index])
    return folded.weight.numpy(), folded.bias[:, None].numpy()


def _activation_cost(request: Request, index: int) -> np.ndarray:
    """Return the request's pair cost of a layer's units, (n, n)."""
    layer, (first, second) = request.statistics.layers[index], request.tasks

    def no_weights(members: np.ndarray, shares: np.ndarray) -> np.ndarray:
        raise PlanError(
            f"cost={request.cost!r} reads weights, which a joint problem has already; use cost='weights', or a cost of "
            "activations"
        )

    return unit_costs(request.cost, layer, request.tasks, first, second, no_weights)


def _scale(request: Request, index: int, cost: np.ndarray) -> float:
    """Return the factor at which ``|A|^2 + |B|^2`` is the mean cost of a random pairing of the layer."""
    arrays = [array for task in request.tasks for array in _folded(request.parents, task, index)]
    size = sum(float(np.square(array).sum()) for array in arrays)
    at_random = float(cost.sum()) / max(1, len(cost))
    return float(np.sqrt(at_random / size)) if size > 0 else 1.0


def _paired(request: Request, index: int, permutation: np.ndarray) -> Clusters:
    layer, (first, second) = request.statistics.layers[index], request.tasks
    other = Clusters.of_parent(layer, request.tasks, second)
    pairs = np.stack([np.arange(len(permutation)), permutation], axis=1)
    return Clusters.of_parent(layer, request.tasks, first).paired(other, pairs)


def _record(request: Request, solution: Solution) -> dict[str, Any]:
    """Write down the one problem of all layers as plain data."""
    return {
        "layer": None,
        "layers": [layer.name for layer in request.statistics.layers],
        "solver": solution.run.solver,
        "backend": f"{solution.run.backend} {solution.run.version}".strip(),
        "note": solution.run.note,
        "status": solution.status.name,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "stepwise": False,
        "pairs": sum(request.units(index)[0] for index in range(len(request.statistics.layers))),
        "seconds": solution.build_seconds + solution.solve_seconds,
    }
