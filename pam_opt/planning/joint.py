"""Plan by joint pairing: the pairs of all layers at once, so that what a layer's units feed counts as well."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.planning.clusters import Clusters, unit_costs
from pam_opt.planning.controls import LayersAndRecords, most_important
from pam_opt.planning.incoming import segments, writers_of
from pam_opt.planning.request import Request
from pam_opt.plans import own_groups
from pam_opt.structure import INPUT
from pam_opt_solvers import FIXED, JointPairing, LayerPair, Solution, solve

WEIGHTS = "weights"
"""The cost that is the joint problem itself; every other cost is added to it."""


def plan_joint(request: Request) -> LayersAndRecords:
    """Pair all units of two parents of equal widths one to one, all layers in one `JointPairing`.

    With ``cost="weights"``, the default, this is the weight matching of Git Re-Basin [1]_: least squared distance
    between all weights and biases of the hidden layers, batch norms folded in, a unit's incoming and outgoing weights
    alike. Its value is in squared weights, no loss. The heads are left out: their outputs mean something else for
    every task, so that no output of one parent is comparable with one of the other. Units are permuted space by space:
    in a residual network all that write into a stream and all that read from it move together. Spaces that are kept
    per task are left out, with the weights that read them.

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
    layers = [request.exclusive(index) for index in range(len(request.statistics.layers))]
    movable = _movable(request)
    for index, permutation in zip(movable, problem.split(solution.decision), strict=True):
        kept = most_important(_paired(request, index, permutation), request.kept(index), each_parent=True)
        layers[index] = kept.plan(own_groups(kept.members, request.tasks))
    return layers, [_record(request, solution)] if layers else []


def joint_problem(request: Request) -> JointPairing:
    """Build the problem of a whole network: one space for the units of each hidden layer that may be shared.

    Parameters
    ----------
    request : of two parents of equal widths
    """
    movable = _movable(request)
    sizes = tuple(request.units(index)[0] for index in movable)
    linear = None if request.cost == WEIGHTS else [_activation_cost(request, index) for index in movable]
    pairs = []
    for space, index in enumerate(movable):
        scale = 1.0 if linear is None else _scale(request, index, linear[space])
        for writer in writers_of(request, index):
            pairs += _layer_pairs(request, writer, scale, {place: number for number, place in enumerate(movable)})
    return JointPairing(sizes, tuple(pairs), None if linear is None else tuple(linear))


def _movable(request: Request) -> list[int]:
    """List the positions of the spaces whose units may be paired."""
    return [index for index in range(len(request.statistics.layers)) if not request.kept_per_task(index)]


def _check(request: Request) -> None:
    if len(request.tasks) != 2:
        raise PlanError(
            f"problem='joint' pairs two parents, not {len(request.tasks)}; use problem='pairing', which takes the "
            "parents one after the other"
        )
    for index in _movable(request):
        layer, (one, two) = request.statistics.layers[index], request.units(index)
        if one != two:
            raise PlanError(
                f"problem='joint' pairs all units one to one, but layer {layer.name!r} has {one} and {two}; use "
                "problem='pairing', where units may stay single"
            )
    if request.loss_budget is not None or request.asks_for_share:
        raise PlanError("problem='joint' pairs all units: share= and loss_budget= do not apply; use problem='pairing'")


def _layer_pairs(request: Request, writer: int, scale: float, spaces: Mapping[int, int]) -> list[LayerPair]:
    """Return a layer's weights, input after input, and its biases, batch-norm folded and multiplied by `scale`.

    Parameters
    ----------
    spaces : position of a space in the plan -> its number in the problem; inputs from other spaces are left out
    """
    own, parts, pairs = spaces[request.position(writer)], list(segments(request, writer)), []
    for source, folded in parts:
        one, two = (scale * parent.weight.numpy() for parent in folded)
        if source == INPUT:
            pairs.append(LayerPair(one, two, own, FIXED))
        elif request.position(source) in spaces:
            pairs.append(LayerPair(one, two, own, spaces[request.position(source)]))
    one, two = (scale * parent.bias.reshape(len(parent.bias), -1).numpy() for parent in parts[0][1])
    return [*pairs, LayerPair(one, two, own, FIXED)]


def _activation_cost(request: Request, index: int) -> np.ndarray:
    """Return the request's pair cost of a space's units, (n, n)."""
    layer, (first, second) = request.statistics.layers[index], request.tasks

    def no_weights(members: np.ndarray, shares: np.ndarray) -> np.ndarray:
        raise PlanError(
            f"cost={request.cost!r} reads weights, which a joint problem has already; use cost='weights', or a cost of "
            "activations"
        )

    return unit_costs(request.cost, layer, request.tasks, first, second, no_weights)


def _scale(request: Request, index: int, cost: np.ndarray) -> float:
    """Return the factor at which ``|A|^2 + |B|^2`` is the mean cost of a random pairing of the space's units."""
    size = 0.0
    for writer in writers_of(request, index):
        parts = list(segments(request, writer))
        for parent, _ in enumerate(request.tasks):
            arrays = [*(folded[parent].weight for _, folded in parts), parts[0][1][parent].bias]
            size += sum(float(np.square(array.numpy()).sum()) for array in arrays)
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
        "layers": [request.statistics.layers[index].name for index in _movable(request)],
        "solver": solution.run.solver,
        "backend": f"{solution.run.backend} {solution.run.version}".strip(),
        "note": solution.run.note,
        "status": solution.status.name,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "stepwise": False,
        "pairs": sum(request.units(index)[0] for index in _movable(request)),
        "seconds": solution.build_seconds + solution.solve_seconds,
    }
