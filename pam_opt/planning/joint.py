"""Plan by joint pairing: the pairs of all layers at once, so that what a layer's units feed counts as well."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.folding import Folded
from pam_opt.planning.clusters import Clusters, unit_costs
from pam_opt.planning.controls import LayersAndRecords, most_important
from pam_opt.planning.incoming import folded_weights, writers_of
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
    own = spaces[request.position(writer)]
    size = request.structure.layers[writer].size
    first, second = (_by_unit(folded, size) for folded in folded_weights(request, writer))
    pairs = []
    for source, columns_a, columns_b in _columns(request, writer):
        if source is None or source in spaces:
            read = FIXED if source is None else spaces[source]
            pairs.append(LayerPair(scale * first[0][:, columns_a], scale * second[0][:, columns_b], own, read))
    return [*pairs, LayerPair(scale * first[1], scale * second[1], own, FIXED)]


def _by_unit(folded: Folded, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (units, inputs, area) and biases (units, size), all channels of a unit in one row."""
    channels, inputs, area = folded.weight.shape
    weight = folded.weight.reshape(channels // size, size, inputs, area).transpose(1, 2)
    return weight.reshape(channels // size, inputs, size * area).numpy(), folded.bias.reshape(-1, size).numpy()


def _columns(request: Request, writer: int) -> Iterator[tuple[int | None, slice, slice]]:
    """Iterate over what a layer reads: position of the space, and its columns of the weights of both parents.

    The position is None for the network's input, and for what a unit that is not mixed with others reads.
    """
    layer, start = request.structure.layers[writer], (0, 0)
    for source in layer.inputs if layer.is_dense else (INPUT,):
        counts = [
            parent.structure.units(source, frozenset({task})) if layer.is_dense else 1
            for task, parent in request.parents.items()
        ]
        stop = (start[0] + counts[0], start[1] + counts[1])
        position = None if source == INPUT else request.position(source)
        yield position, slice(start[0], stop[0]), slice(start[1], stop[1])
        start = stop


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
    arrays = [
        array.numpy()
        for writer in writers_of(request, index)
        for folded in folded_weights(request, writer)
        for array in (folded.weight, folded.bias)
    ]
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
