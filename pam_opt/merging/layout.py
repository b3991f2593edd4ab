"""From a plan to a structure, and to the plan of every layer, heads included."""

from collections.abc import Mapping, Sequence

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.network import MultitaskNetwork
from pam_opt.plans import LayerPlan, Plan
from pam_opt.structure import Structure


def heads_plan(parents: Mapping[str, MultitaskNetwork], name: str) -> LayerPlan:
    """Write the heads as a layer plan: every output is a unit of the group of its task."""
    outputs = [parent.structure.widths[-1][frozenset({task})] for task, parent in parents.items()]
    places = np.split(np.arange(sum(outputs)), np.cumsum(outputs)[:-1])
    groups = [frozenset({task}) for task, count in zip(parents, outputs, strict=True) for _ in range(count)]
    return LayerPlan.build(name, places, [np.ones(count) for count in outputs], groups)


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
        _check_units(layer, index, plan.tasks, parents)
    widths = tuple(layer.widths for layer in layers)
    shape = plan.input_shape or first.input_shape
    return Structure(plan.tasks, first.inputs, first.prelude, first.layers, widths, shape)


def _check_units(layer: LayerPlan, index: int, tasks: Sequence[str], parents: Mapping[str, MultitaskNetwork]) -> None:
    for task, planned in zip(tasks, layer.units, strict=True):
        units = parents[task].structure.widths[index][frozenset({task})]
        if planned != units:
            raise PlanError(
                f"layer {layer.name!r}: the plan places {planned} units of {task!r}, which has {units}; make the plan "
                "from these parents"
            )
