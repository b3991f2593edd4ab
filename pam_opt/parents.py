"""Parents side by side: converted to one form, and checked against each other layer by layer."""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from pam_opt.errors import PlanError, UnsupportedModel
from pam_opt.network import MultitaskNetwork
from pam_opt.structure import Layer
from pam_opt.tracing import network_of


def convert_parents(
    parents: Mapping[str, nn.Module], input_shape: tuple[int, ...] | None = None
) -> dict[str, MultitaskNetwork]:
    """Convert every parent into a network of one task, and check that their layers match.

    A `MultitaskNetwork` of one task, such as a parent that was pruned alone, is taken as it is.
    Widths and heads' outputs may differ; number, kind and settings of layers may not.

    Raises
    ------
    PlanError : no mapping of task names to modules, or fewer than two parents
    UnsupportedModel : a parent that cannot be traced, or the first difference between two parents, by name
    """
    if not isinstance(parents, Mapping):
        raise PlanError(f"parents is a {type(parents).__name__}; map task names to modules: {{'a': net_a, 'b': net_b}}")
    if len(parents) < 2:
        raise PlanError(f"merging needs at least two parents, not {len(parents)}; give one for each task")
    networks = {task: _converted(module, task, input_shape) for task, module in parents.items()}
    first, *others = networks
    for other in others:
        _check_match(first, networks[first], other, networks[other])
    return networks


def _converted(module: nn.Module, task: str, input_shape: tuple[int, ...] | None) -> MultitaskNetwork:
    """Convert a parent; one that is converted already, because it was pruned alone, stays as it is."""
    if not isinstance(module, MultitaskNetwork):
        return network_of(module, task, input_shape)
    if module.tasks != (task,):
        raise UnsupportedModel(
            f"parent {task!r} is a multitask network of the tasks {list(module.tasks)}; a parent has one task, by the "
            "name under which it is given"
        )
    return module


def _check_match(first: str, a: MultitaskNetwork, other: str, b: MultitaskNetwork) -> None:
    pair = f"parents {first!r} and {other!r}"
    one, two = a.structure, b.structure
    if one.inputs != two.inputs or one.layers[0].kind != two.layers[0].kind:
        raise UnsupportedModel(
            f"{pair} take different input: {one.inputs} units into a {one.layers[0].kind} layer, "
            f"{two.inputs} into a {two.layers[0].kind} layer; merge parents of the same kind of input"
        )
    if len(one.layers) != len(two.layers):
        raise UnsupportedModel(
            f"{pair} have different depth: {len(one.layers)} layers and {len(two.layers)}; "
            "only parents of the same depth can be merged"
        )
    for left, right in zip(one.layers, two.layers, strict=True):
        difference = _difference(left, right)
        if difference:
            raise UnsupportedModel(f"{pair} differ at layer {left.name!r} / {right.name!r}: {difference}")
    if one.prelude != two.prelude:
        raise UnsupportedModel(f"{pair} prepare their input differently: {one.prelude} and {two.prelude}")


def _difference(left: Layer, right: Layer) -> str | None:
    """Say how two layers differ in anything but name; None if they match."""
    if replace(left, name="") == replace(right, name=""):
        return None
    for field in ("kind", "settings", "features", "bias", "norm", "post", "inputs", "ties", "size", "kept"):
        one, two = getattr(left, field), getattr(right, field)
        if one != two:
            return f"{field} {_show(one)} against {_show(two)}"
    return "unknown difference"


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_show(operation) for operation in value) + "]"
    kind, settings = getattr(value, "kind", None), getattr(value, "settings", None)
    return f"{kind} {dict(settings) if settings else ''}".strip() if kind else repr(value)
