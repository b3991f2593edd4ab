"""Options of `pam_opt.zip_networks`, checked."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real

from pam_opt.errors import PlanError
from pam_opt.structure import Structure


def per_layer(
    name: str, value: float | Mapping[str, float] | None, structure: Structure, most: float, default: float
) -> dict[str, float]:
    """Spread an option over the hidden layers, checking that every value lies in [0, most].

    Raises
    ------
    PlanError : an unknown layer, or a value out of range
    """
    layers = [layer.name for layer in structure.layers[:-1]]
    given = value if isinstance(value, Mapping) else dict.fromkeys(layers, default if value is None else value)
    unknown = sorted(set(given) - set(layers))
    if unknown:
        raise PlanError(f"{name}= names the layers {unknown}; the layers are {layers}")
    for layer, number in given.items():
        if not isinstance(number, Real) or isinstance(number, bool) or not 0 <= number <= most:
            limit = f"in [0, {most:g}]" if most < math.inf else "at least 0"
            raise PlanError(f"{name} {number!r} of layer {layer!r} must be a number {limit}")
    return {layer: float(given.get(layer, default)) for layer in layers}


def steps_per_layer(value: int | Mapping[str, int], structure: Structure) -> dict[str, int]:
    """Spread the retraining steps over the hidden layers; layers that are not named get none.

    Raises
    ------
    PlanError : an unknown layer, or steps that are no whole number of at least 0
    """
    numbers = value.values() if isinstance(value, Mapping) else [value]
    for number in numbers:
        if not isinstance(number, Integral) or isinstance(number, bool):
            raise PlanError(f"steps {number!r} must be whole numbers of training steps")
    return {layer: int(steps) for layer, steps in per_layer("steps", value, structure, math.inf, 0).items()}


def checked_balance(balance: Mapping[str, float] | None, tasks: Sequence[str]) -> dict[str, float]:
    """Return every task's weight, scaled to sum to 1; equal weights by default.

    Raises
    ------
    PlanError : other tasks than given, or a weight that is no positive number
    """
    if balance is None:
        return dict.fromkeys(tasks, 1 / len(tasks))
    if not isinstance(balance, Mapping) or set(balance) != set(tasks):
        raise PlanError(f"balance {balance!r} must give a weight to each of the tasks {sorted(tasks)}")
    for task, weight in balance.items():
        if not isinstance(weight, Real) or not 0 < weight < math.inf:
            raise PlanError(f"balance {weight!r} of task {task!r} must be a number above 0")
    total = math.fsum(balance.values())
    return {task: float(balance[task]) / total for task in tasks}
