"""Weights of one task among the inputs of all tasks."""

import numpy as np
import torch
from torch import Tensor

from pam_opt.folding import Folded
from pam_opt.merging.rows import readable_values
from pam_opt.network import GroupLayer
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer, Structure, canonical
from pam_opt.tasks import Group


def embedded_rows(folded: Folded, structure: Structure, index: int, task: str) -> Tensor:
    """Write a task's weights on all inputs of a layer, bias last: (units, values + 1), 0 for what it does not read."""
    rows = torch.zeros(len(folded.weight), all_values(structure, index) + 1, dtype=torch.float64)
    rows[:, readable_values(structure, index, frozenset({task}))] = folded.weight.flatten(1)
    rows[:, -1] = folded.bias
    return rows


def all_values(structure: Structure, index: int) -> int:
    """Count the input values of a layer, all groups side by side."""
    units = sum(structure.widths[index - 1].values()) if index else structure.inputs
    return units * structure.layers[index].kernel_area


def values_of(structure: Structure, index: int, source: Group) -> Tensor:
    """Find the columns of one group of the layer before among the input values of all groups."""
    area = structure.layers[index].kernel_area
    widths = structure.widths[index - 1]
    chosen = [torch.full((widths[group] * area,), group == source) for group in canonical(widths)]
    return torch.cat(chosen).nonzero().flatten()


def reorder_inputs(block: GroupLayer, layer: Layer, plan: LayerPlan, column: int) -> None:
    """Let a task's weights behind a zipped layer read its units in the order in which they stand there.

    Parameters
    ----------
    block, layer : behind the zipped one
    plan : of the zipped layer
    column : number of the task
    """
    order = torch.from_numpy(np.argsort(plan.places[column]))
    weight = block.operation.weight
    weight.copy_(weight.reshape(len(weight), -1, layer.kernel_area)[:, order].reshape(weight.shape))
