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


def plan_of_every_layer(parents: Mapping[str, MultitaskNetwork], plan: Plan) -> list[LayerPlan]:
    """Return the plan of every layer: that of the first layer that writes the same units, and of the heads.

    Raises
    ------
    PlanError : a plan that does not fit the parents
    """
    structure = next(iter(parents.values())).structure
    if set(plan.tasks) != set(parents) or len(plan.layers) != len(structure.spaces):
        raise PlanError(
            f"the plan is for tasks {sorted(plan.tasks)} and {len(plan.layers)} hidden layers, the parents are "
            f"{sorted(parents)} with {len(structure.spaces)}; make the plan from these parents"
        )
    of_space = dict(zip(structure.spaces, plan.layers, strict=True))
    for space, layer in of_space.items():
        _check_units(layer, space, plan.tasks, parents)
        if structure.layers[space].kept:
            _check_kept(layer, structure.layers[space].kept, plan.tasks)
    of_space[len(structure.layers) - 1] = heads_plan(parents, structure.layers[-1].name)
    return [of_space[layer.ties] for layer in structure.layers]


def merged_structure(parents: Mapping[str, MultitaskNetwork], plan: Plan, layers: Sequence[LayerPlan]) -> Structure:
    """Describe the merged network; `layers` are those of `plan_of_every_layer`."""
    first = next(iter(parents.values())).structure
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


def _check_kept(layer: LayerPlan, reason: str, tasks: Sequence[str]) -> None:
    """Refuse a plan that regroups what cannot be regrouped."""
    own = LayerPlan.of_groups(
        layer.name,
        [frozenset({task}) for task, units in zip(tasks, layer.units, strict=True) for _ in range(units)],
        layer.units,
    )
    same = all(np.array_equal(one, two) for one, two in zip(layer.places, own.places, strict=True))
    if not same or layer.groups != own.groups:
        raise PlanError(
            f"layer {layer.name!r} cannot be regrouped: {reason}; keep all its units in their order, for their own task"
        )
