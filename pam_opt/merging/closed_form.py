"""MTZ's closed form: what it costs to give two units the same weights, and the weights that cost least.

For unit w_t of task t, whose inputs have second moments ``H_t = a_t E_t[x x']``, weights w change its pre-activation by
``1/2 (w - w_t)' H_t (w - w_t)`` in the mean over task t's data. Over several units this is least at
``w = (sum_t H_t)^-1 sum_t H_t w_t``, which for two of them is MTZ's ``w_A + H_A^-1 (H_A^-1 + H_B^-1)^-1 (w_B - w_A)``
[1]_. Written so, no matrix of one task alone is inverted, and clusters of any number of units take the same formula:
adding one network after the other ends in the same weights as all at once.

References
----------
.. [1] He, Zhou, Thiele, Multi-Task Zipping via Layer-wise Neuron Sharing, NeurIPS 2018
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pam_opt.errors import DataError
from pam_opt.folding import Folded, norm_state, unfold
from pam_opt.merging.least_squares import moments_of_outputs
from pam_opt.merging.rows import readable_values
from pam_opt.merging.statistics import observed_norm
from pam_opt.merging.weights import Mix, mixed_norms
from pam_opt.network import GroupLayer
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer, Structure
from pam_opt.tasks import Group


def functional_difference(left: Tensor, right: Tensor, left_moments: Tensor, right_moments: Tensor) -> np.ndarray:
    """Return ``d_ij = 1/2 (w_i - w_j)' (H_A^-1 + H_B^-1)^-1 (w_i - w_j)``, MTZ's cost of sharing a pair of units.

    Parameters
    ----------
    left, right : (m, values) and (n, values) float64, incoming weights on the same inputs
    left_moments, right_moments : (values, values) float64, H_A and H_B; of a cluster the sum over its tasks

    Returns
    -------
    cost : (m, n) float64, at least 0

    Raises
    ------
    DataError : matrices that cannot be inverted together
    """
    parallel = left_moments @ _solve(left_moments + right_moments, right_moments)
    parallel = (parallel + parallel.T) / 2
    one, two = left @ parallel, right @ parallel
    cost = (one * left).sum(1)[:, None] + (two * right).sum(1)[None, :] - 2 * (one @ right.T)
    return (cost / 2).clamp(min=0).numpy()


def closed_form(mix: Mix, weights: Sequence[Tensor], moments: Sequence[Tensor]) -> Tensor:
    """Return ``w = (sum H_t)^-1 sum H_t w_t`` over the members of every merged unit.

    Parameters
    ----------
    mix : the merged units; shares only say who is a member
    weights : for each parent (units, values) float64, on the inputs that the merged units read
    moments : for each parent (values, values) float64, H_t of these inputs

    Returns
    -------
    weights : (n, values) float64
    """
    merged = weights[0].new_zeros(mix.count, weights[0].shape[1])
    counts = np.zeros((mix.count, len(weights)), np.int64)
    sums = []
    for column, own in enumerate(weights):
        units, places, _ = mix.members(column)
        sums.append(torch.zeros_like(merged).index_add_(0, places, own[units]))
        counts[:, column] = np.bincount(places, minlength=mix.count)
    for members in np.unique(counts, axis=0):
        rows = np.flatnonzero((counts == members).all(axis=1))
        present = np.flatnonzero(members).tolist()
        if not present:
            continue
        if members.sum() == 1:  # its own weights, to the last digit
            merged[rows] = sums[present[0]][rows]
            continue
        right = sum((sums[k][rows] @ moments[k] for k in present), torch.zeros(()))
        total = sum((int(members[k]) * moments[k] for k in present), torch.zeros(()))
        merged[rows] = _solve(total, right.T).T
    return merged


def merged_rows(
    structure: Structure,
    index: int,
    plan: LayerPlan,
    group: Group,
    tasks: Group,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
) -> Tensor:
    """Return the closed-form weights of one group's units for some of its tasks, on the inputs that these all read.

    Parameters
    ----------
    structure : layers, and widths of the layer before
    plan : of the layer
    tasks : those whose units take part; for units on the lattice the whole group
    weights : task -> (units, values + 1) on all inputs of the layer and the constant, see `weight_rows`
    moments : task -> (values + 1, values + 1), see `pam_opt.merging.moments.TaskData`

    Returns
    -------
    rows : (n, values + 1), 0 for inputs that are not read
    """
    shares = [
        share if group == tasks or task in tasks else np.zeros_like(share)
        for task, share in zip(structure.tasks, plan.shares, strict=True)
    ]
    mix = Mix.of(replace(plan, shares=tuple(shares)), plan.rows(group))
    read = readable_rows(structure, index, tasks)
    rows = torch.zeros(mix.count, len(next(iter(moments.values()))), dtype=torch.float64)
    rows[:, read] = closed_form(
        mix,
        [weights[task][:, read] for task in structure.tasks],
        [moments[task][read][:, read] for task in structure.tasks],
    )
    return rows


def write_closed_form(
    block: GroupLayer,
    structure: Structure,
    place: tuple[int, Group],
    plan: LayerPlan,
    parents: Sequence[GroupLayer],
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
) -> None:
    """Write the closed-form weights of one group's units into its module.

    Parameters
    ----------
    place : index of the layer, and the group
    parents : every parent's module of the layer, for how its units are written with a batch norm
    structure, plan, weights, moments : as in `merged_rows`
    """
    index, group = place
    columns = readable_values(structure, index, group)
    rows = merged_rows(structure, index, plan, group, group, weights, moments)
    folded = folded_rows(rows, columns, structure.layers[index])
    total = sum((moments[task] for task in group), torch.zeros(()))
    state = mixed_norms([norm_state(parent) for parent in parents], Mix.of(plan, plan.rows(group)))
    outputs = moments_of_outputs(total / total[-1, -1], columns, folded.weight.flatten(1))
    unfold(block, folded, observed_norm(outputs, folded, state))


def folded_rows(rows: Tensor, columns: Tensor, layer: Layer) -> Folded:
    """Read the weights of a module that reads some of the inputs; the inverse of `weight_rows`."""
    return Folded(rows[:, columns].reshape(len(rows), -1, layer.kernel_area), rows[:, -1])


def weight_rows(folded: Folded, inputs: Mix | None, column: int) -> Tensor:
    """Write a parent's weights on all inputs of the merged layer, bias last: (units, values + 1) float64.

    Parameters
    ----------
    inputs : the merged units of the layer before; None where all parents read the same input
    column : number of the parent
    """
    weight = folded.weight if inputs is None else inputs.represent(column, folded.weight)
    return torch.cat([weight.flatten(1), folded.bias[:, None]], dim=1)


def has_constant(layer: Layer) -> bool:
    """Whether the layer's units have a bias of some kind."""
    return layer.bias or layer.norm is not None


def readable_rows(structure: Structure, index: int, group: Group) -> Tensor:
    """Find the columns of `weight_rows` that `group` may read, the constant included where the layer has one."""
    columns = readable_values(structure, index, group)
    if not has_constant(structure.layers[index]):
        return columns
    before = structure.inputs if index == 0 else sum(structure.widths[index - 1].values())
    return torch.cat([columns, torch.tensor([before * structure.layers[index].kernel_area])])


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a positive definite system."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    result = torch.cholesky_solve(right, factor)
    if failed or not result.isfinite().all():
        raise DataError(
            "the second moments of a layer's inputs cannot be inverted; scale the calibration inputs to about 1, or "
            "use weights='refit'"
        )
    return result
