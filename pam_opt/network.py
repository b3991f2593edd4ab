"""The multitask network: per layer one dense operation for every group, and only the groups that are needed run."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from pam_opt.errors import PlanError, UnsupportedModel
from pam_opt.structure import INPUT, JOINS, Layer, Structure, Widths, canonical
from pam_opt.tasks import Group, check_known, combination_key

Signals = dict[Group, Tensor]
"""The output of every active group of one layer; of the input, itself for the group of all tasks."""

Values = dict[int, Signals]
"""The signals of the layers that are still to be read, and of `INPUT`."""


class GroupLayer(nn.Module):
    """The units of one group in one layer: ``pre`` gives their pre-activations, ``post`` what follows.

    Layers that join signals take a sequence of tensors, all others one tensor.
    """

    def __init__(self, layer: Layer, inputs: int, units: int) -> None:
        super().__init__()
        operation = layer.build_operation(inputs, units)
        self.pre = nn.Sequential(operation, *([layer.norm.build(units)] if layer.norm else []))
        self.post = nn.Sequential(*(post.build(units) for post in layer.post))

    @property
    def operation(self) -> nn.Conv2d | nn.Linear:
        """The convolution or linear module; only for layers that have weights."""
        module = self.pre[0]
        assert isinstance(module, nn.Conv2d | nn.Linear)
        return module

    @property
    def norm(self) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
        """The batch norm that gives the pre-activation, if the layer has one."""
        module = self.pre[1] if len(self.pre) > 1 else None
        assert module is None or isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        return module

    def forward(self, x: Tensor | Sequence[Tensor]) -> Tensor:
        return self.post(self.pre(x))


class MultitaskNetwork(nn.Module):
    """Run any combination of tasks, computing exactly the groups that the combination needs.

    A unit of group g reads the units of every group h that contains g, so each group of a layer is one
    convolution or linear operation on the concatenation of those groups.

    Parameters
    ----------
    structure : layers and widths; every group needs at least one unit to read

    Raises
    ------
    PlanError : a group would read nothing, or a task has no head
    """

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        _check(structure)
        self.structure = structure
        self.prelude = nn.Sequential(*(operation.build(structure.inputs) for operation in structure.prelude))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    _key(group): GroupLayer(layer, structure.fan_in(index, group), widths[group])
                    for group in canonical(widths)
                }
            )
            for index, (layer, widths) in enumerate(zip(structure.layers, structure.widths, strict=True))
        )

    @classmethod
    def blank(cls, structure: Structure) -> "MultitaskNetwork":
        """Build a network with all weights zero, to be written: no random numbers are drawn."""
        with torch.device("meta"):
            network = cls(structure)
        network.to_empty(device="cpu")
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.zero_()
        return network

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.structure.tasks

    def block(self, index: int, group: Group) -> GroupLayer:
        """Return the module of one group in one layer."""
        layer = self.layers[index]
        assert isinstance(layer, nn.ModuleDict)
        module = layer[_key(group)]
        assert isinstance(module, GroupLayer)
        return module

    def blocks(self, index: int, active: Group | None = None) -> Iterator[tuple[Group, GroupLayer]]:
        """Iterate over the groups of a layer, in canonical order; with `active`, over those that it needs."""
        for group in canonical(self.structure.widths[index]):
            if active is None or group & active:
                yield group, self.block(index, group)

    def inputs_of(self, index: int, group: Group, values: Values) -> Tensor | list[Tensor]:
        """Collect what `group` of layer `index` reads: one tensor, or what a layer joins."""
        layer = self.structure.layers[index]
        signals = [values[source][read] for source, read in self.structure.sources(index, group)]
        if layer.kind in JOINED:
            return signals
        return signals[0] if len(signals) == 1 else torch.cat(signals, dim=channel_axis(layer))

    def all_inputs(self, index: int, values: Values) -> Tensor:
        """Concatenate all that a dense layer may read, input after input, groups in canonical order."""
        sources = self.structure.layers[index].inputs
        signals = [values[source][group] for source in sources for group in self.structure.groups(source)]
        return signals[0] if len(signals) == 1 else torch.cat(signals, dim=channel_axis(self.structure.layers[index]))

    def run_layer(self, index: int, values: Values, active: Group) -> Signals:
        """Compute the active groups of one layer from those of the layers that it reads."""
        return {group: block(self.inputs_of(index, group, values)) for group, block in self.blocks(index, active)}

    def advance(self, index: int, values: Values, active: Group | None = None) -> Values:
        """Compute layer `index`, and return all values that later layers read; those of the last layer stay."""
        now = {**values, index: self.run_layer(index, values, frozenset(self.tasks) if active is None else active)}
        return {place: signals for place, signals in now.items() if self._last_read[place] > index}

    @cached_property
    def _last_read(self) -> dict[int, int]:
        last = {place: place for place in range(INPUT, len(self.structure.layers))}
        for index, layer in enumerate(self.structure.layers):
            last.update(dict.fromkeys(layer.inputs, index))
        return {**last, len(self.structure.layers) - 1: len(self.structure.layers)}

    def enter(self, x: Tensor) -> Values:
        """Check an input and run the prelude: what the first layers read.

        Raises
        ------
        UnsupportedModel : no tensor, or one of the wrong shape, type or device; says which is right
        """
        if not isinstance(x, Tensor):
            raise UnsupportedModel(f"input of type {type(x).__name__} does not fit; the network takes a torch.Tensor")
        weight = next(self.parameters())
        if x.device != weight.device:
            raise UnsupportedModel(f"input on {x.device} does not fit; the network is on {weight.device}: x.to() it")
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            raise UnsupportedModel(f"input of {x.dtype} does not fit; the network takes {weight.dtype}: x.to() it")
        return {INPUT: {frozenset(self.tasks): run_prelude(self.structure, self.prelude, x)}}

    def forward(self, x: Tensor, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Run a combination of tasks.

        Parameters
        ----------
        x : (N, C, H, W) or (N, D)
        tasks : names; None runs all of them

        Returns
        -------
        outputs : task name -> (N, outputs of the task)

        Raises
        ------
        TaskError : unknown or no task names
        UnsupportedModel : an input of the wrong shape, type or device
        """
        asked = (tasks,) if isinstance(tasks, str) else tasks
        active = frozenset(self.tasks) if asked is None else check_known(asked, self.tasks)
        values = self.enter(x)
        for index in range(len(self.layers)):
            values = self.advance(index, values, active)
        heads = values[len(self.layers) - 1]
        return {task: heads[frozenset({task})] for task in self.tasks if task in active}


JOINED = JOINS | {"layer_norm"}
"""Kinds of layers whose modules take a sequence of tensors."""


def channel_axis(layer: Layer) -> int:
    """Return the axis on which what a layer reads and computes has its units: 1 for maps, the last for features."""
    return -1 if layer.kind in ("linear", "attention", "layer_norm") else 1


def _key(group: Group) -> str:
    return "for_" + combination_key(group)


def _check(structure: Structure) -> None:
    if not structure.layers or len(set(structure.tasks)) < len(structure.tasks):
        raise PlanError(f"{len(structure.layers)} layers for tasks {list(structure.tasks)}: give a head for each task")
    for index, (layer, widths) in enumerate(zip(structure.layers, structure.widths, strict=True)):
        if not (layer.inputs and all(INPUT <= source < index for source in layer.inputs) and 0 <= layer.ties <= index):
            raise PlanError(
                f"layer {layer.name!r} reads the layers {layer.inputs} and is tied to {layer.ties}: not before it"
            )
        for group, units in widths.items():
            if units < 1 or not group or not group <= frozenset(structure.tasks):
                raise PlanError(
                    f"layer {layer.name!r}: group {combination_key(group)!r} with {units} units is impossible"
                )
            if structure.fan_in(index, group) == 0:
                before = " and ".join(repr(structure.layers[source].name) for source in layer.inputs)
                raise PlanError(
                    f"layer {layer.name!r}: units of group {combination_key(group)!r} would read nothing, because "
                    f"layer {before} has no unit that serves all these tasks; "
                    "share or keep units there, or share none here"
                )
        if widths != structure.widths[layer.ties]:
            raise PlanError(
                f"layer {layer.name!r} writes the units of {structure.layers[layer.ties].name!r}, so both need the "
                f"same groups: {_shown(widths)} against {_shown(structure.widths[layer.ties])}"
            )
    if set(structure.widths[-1]) != {frozenset({task}) for task in structure.tasks}:
        raise PlanError(f"the last layer must hold one head for each of the tasks {sorted(structure.tasks)}")


def _shown(widths: Widths) -> str:
    return ", ".join(f"{combination_key(group)}: {widths[group]}" for group in canonical(widths))


def require_multitask(network: object, what: str) -> None:
    """Refuse what only looks like a multitask network: its units may be computed otherwise than on the lattice.

    Raises
    ------
    UnsupportedModel : any other type
    """
    if not isinstance(network, MultitaskNetwork):
        raise UnsupportedModel(
            f"{what} takes a MultitaskNetwork, not {type(network).__name__}; pam_opt.single converts a parent, and a "
            "WeightSharingNetwork has methods macs and save of its own"
        )


def run_prelude(structure: Structure, prelude: nn.Module, x: Tensor) -> Tensor:
    """Run what stands in front of the first layer, and check that the layer can read what comes out.

    Raises
    ------
    UnsupportedModel : an input of the wrong shape; says which is right
    """
    maps = structure.layers[0].kind == "conv2d"
    flat = any(operation.kind == "flatten" for operation in structure.prelude)
    try:
        result = prelude(x)
    except (RuntimeError, ValueError, IndexError):
        result = None
    axis, dimensions = (1, (4,)) if maps else (-1, (2,) if flat else (2, 3))
    if result is None or result.ndim not in dimensions or result.shape[axis] != structure.inputs:
        wanted = f"(N, {structure.inputs}, H, W)" if maps else f"(N, {structure.inputs})"
        wanted += "" if maps or flat else f" or (N, tokens, {structure.inputs})"
        behind = f" behind {', '.join(operation.kind for operation in structure.prelude)}" if structure.prelude else ""
        raise UnsupportedModel(f"input of shape {tuple(x.shape)} does not fit; the network takes {wanted}{behind}")
    return result
