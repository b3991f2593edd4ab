"""From a plan to a structure, and to the members of every layer, heads included."""

from collections.abc import Mapping, Sequence

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.network import MultitaskNetwork
from pam_opt.plans import LayerPlan, Plan
from pam_opt.structure import Structure


def heads_plan(parents: Mapping[str, MultitaskNetwork], name: str) -> LayerPlan:
    """Write the heads as a layer plan: every output is a unit of the group of its task."""
    members, groups = [], []
    for column, (task, parent) in enumerate(parents.items()):
        outputs = parent.structure.widths[-1][frozenset({task})]
        block = np.full((outputs, len(parents)), -1)
        block[:, column] = np.arange(outputs)
        members.append(block)
        groups += [frozenset({task})] * outputs
    stacked = np.concatenate(members)
    return LayerPlan.build(name, stacked, (stacked >= 0).astype(float), groups)


def merged_structure(parents: Mapping[str, MultitaskNetwork], plan: Plan, layers: Sequence[LayerPlan]) -> Structure:
    """Describe the merged network; `layers` are the plan's, then the heads'.

    Raises
    ------
    PlanError : a plan that does not fit the parents
    """
    first = next(iter(parents.values())).structure
    if set(plan.tasks) != set(parents) or len(layers) != len(first.layers):
        raise PlanError(
            f"the plan is for tasks {sorted(plan.tasks)} and {len(plan.layers)} hidden layers, the parents are "
            f"{sorted(parents)} with {len(first.layers) - 1}; make the plan from these parents"
        )
    for index, layer in enumerate(layers):
        _check_members(layer, index, plan.tasks, parents)
    widths = tuple(layer.widths for layer in layers)
    shape = plan.input_shape or first.input_shape
    return Structure(plan.tasks, first.inputs, first.prelude, first.layers, widths, shape)


def _check_members(layer: LayerPlan, index: int, tasks: Sequence[str], parents: Mapping[str, MultitaskNetwork]) -> None:
    for column, task in enumerate(tasks):
        units = parents[task].structure.widths[index][frozenset({task})]
        highest = int(layer.members[:, column].max(initial=-1))
        if highest >= units:
            raise PlanError(
                f"layer {layer.name!r}: the plan places unit {highest} of {task!r}, which has {units} units"
            )
