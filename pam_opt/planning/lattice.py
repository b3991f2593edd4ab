"""What the lattice demands of plans that are made space by space: whatever is shared finds something to read.

A unit of group g reads units of groups that contain g. In a chain that concerns the layer before alone. In a graph
several layers may write the units of one space, such as the branches of a residual sum, and each of them that mixes
units needs an input with a group that contains g. Inputs that are planned later are taken to offer it then: that is
what they are asked for in `Reading.demanded`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pam_opt.errors import PlanError
from pam_opt.plans import LayerPlan
from pam_opt.structure import INPUT, Structure, canonical
from pam_opt.tasks import Group, combination_key


@dataclass(frozen=True, eq=False)
class Reading:
    """Say what the next space of a plan may hold, and what it has to offer to spaces that are planned already.

    Parameters
    ----------
    structure : of a parent
    tasks : all tasks
    planned : the groups with units in each space that is planned, in the order of `Structure.spaces`
    """

    structure: Structure
    tasks: Sequence[str]
    planned: Sequence[Collection[Group]]

    @classmethod
    def behind(cls, structure: Structure, tasks: Sequence[str], layers: Sequence[LayerPlan]) -> "Reading":
        """Describe the space behind those planned; one that is kept per task has exclusive units, whatever its plan."""
        alone = frozenset(frozenset({task}) for task in tasks)
        spaces = zip(structure.spaces, layers, strict=False)
        planned = [set(plan.groups) if structure.shareable[space] else alone for space, plan in spaces]
        return cls(structure, tasks, planned)

    def allows(self, group: Group) -> bool:
        """Whether units of a group find something to read wherever they are written."""
        space = self.structure.spaces[len(self.planned)]
        return self._may_hold(space, group) and all(
            self.offered(writer, group) or self._open(writer) for writer in self._mixing(space)
        )

    @property
    def before(self) -> str:
        """What the next space reads and is planned, in words: in a graph, its names."""
        if self.structure.is_chain:
            return "the layer before"
        space = self.structure.spaces[len(self.planned)]
        places = {self._position[p] for writer in self._mixing(space) for p in self._inputs(writer) if p != INPUT}
        spaces = [self.structure.spaces[place] for place in sorted(places) if place < len(self.planned)]
        return " or ".join(repr(self.structure.layers[p].name) for p in spaces) or "what it reads"

    def demanded(self) -> list[Group]:
        """List the groups that later writers of planned spaces can only read from the next space, large ones first.

        Also those that it has to hold so that another space, which is planned later, can hold what is demanded there.
        """
        return canonical(self._demands[len(self.planned)])

    @cached_property
    def _demands(self) -> dict[int, set[Group]]:
        """Position of every space that is not planned -> the groups that it has to offer."""
        found: dict[int, set[Group]] = {p: set() for p in range(len(self.planned), len(self.structure.spaces))}
        hidden = enumerate(self.structure.layers[:-1])
        readers = [(index, self._position[layer.ties], self._last(index)) for index, layer in hidden if layer.is_dense]
        changed = True
        while changed:
            changed = False
            for index, target, last in readers:
                if last not in found:
                    continue
                wanted = found[target] if target in found else self.planned[target]
                new = {group for group in wanted if len(group) > 1 and not self.offered(index, group)} - found[last]
                found[last] |= new
                changed |= bool(new)
        return found

    @cached_property
    def _position(self) -> dict[int, int]:
        """Layer index of a space -> its position."""
        return {space: position for position, space in enumerate(self.structure.spaces)}

    def _mixing(self, space: int) -> Iterator[int]:
        """Iterate over the dense layers that write a space."""
        return (index for index in self.structure.tied(space) if self.structure.layers[index].is_dense)

    def _inputs(self, index: int) -> list[int]:
        """List the spaces that a layer reads, or `INPUT`."""
        layers = self.structure.layers
        return [INPUT if source == INPUT else layers[source].ties for source in layers[index].inputs]

    def _last(self, index: int) -> int:
        """Return the position of the last space with units to share among those that a layer reads; -1 for none."""
        spaces = [space for space in self._inputs(index) if space != INPUT and self.structure.shareable[space]]
        return max((self._position[space] for space in spaces), default=-1)

    def _open(self, index: int) -> bool:
        """Whether a layer reads something that is planned later and may be shared."""
        return self._last(index) >= len(self.planned)

    def offered(self, index: int, group: Group) -> bool:
        """Whether an input of a layer that is planned has units that a group may read."""
        for space in self._inputs(index):
            if space == INPUT:
                return True
            position = self._position[space]
            if position < len(self.planned) and any(group <= source for source in self.planned[position]):
                return True
        return False

    def _may_hold(self, space: int, group: Group) -> bool:
        return len(group) <= 1 or self.structure.shareable[space]


def refuse_unreadable(
    layer: str,
    groups: Sequence[Group],
    tasks: Sequence[str],
    before: Sequence[Group] | Reading | None,
) -> None:
    """Refuse groups of a layer with which some task could not be run.

    They are not repaired: a unit that cannot read what its group may read would have to change its group, and so
    would its readers, against what was decided for them.

    Parameters
    ----------
    groups : of all units of the layer; the empty group for a dropped one
    before : of the units of the layer before, or what the layer reads in a graph; None for the first layer

    Raises
    ------
    PlanError : a layer that keeps no unit, or none for a task, or a group with nothing to read; says which
    """
    kept = canonical({group for group in groups if group})
    if not kept:
        raise PlanError(
            f"layer {layer!r}: all {len(groups)} units would be dropped, since they tell too little about any task; "
            "lower its threshold"
        )
    for task in tasks:
        if not any(task in group for group in kept):
            raise PlanError(
                f"layer {layer!r} keeps no unit for task {task!r}, which could read nothing behind it; lower its "
                "threshold"
            )
    for group in kept:
        if not readable(group, before):
            where = before.before if isinstance(before, Reading) else "the layer before"
            raise PlanError(
                f"layer {layer!r}: units of group {combination_key(group)!r} would read nothing, because {where} "
                "has no unit that serves all these tasks (shared units read shared units only); lower the "
                f"threshold of {where}, or raise that of this one"
            )


def readable(group: Group, before: Collection[Group] | Reading | None) -> bool:
    """Whether units of a group find something to read; None for the first layer, which reads the input."""
    if before is None:
        return True
    return before.allows(group) if isinstance(before, Reading) else any(group <= source for source in before)


def refuse_unreadable_writers(structure: Structure, tasks: Sequence[str], layers: Sequence[LayerPlan]) -> None:
    """Refuse a plan of a whole network in which some layer could not be run, such as a later branch of a sum.

    Raises
    ------
    PlanError : a layer whose units of some group would read nothing; says which, and what it reads
    """
    whole = Reading.behind(structure, tasks, layers)
    positions = {space: position for position, space in enumerate(structure.spaces)}
    for index, layer in enumerate(structure.layers[:-1]):
        for group in canonical(set(whole.planned[positions[layer.ties]])) if layer.is_dense else []:
            if not whole.offered(index, group):
                sources = [structure.layers[source].name for source in layer.inputs]
                raise PlanError(
                    f"layer {layer.name!r} writes units of {structure.layers[layer.ties].name!r}, of which some serve "
                    f"{combination_key(group)}, but {' and '.join(map(repr, sources))}, which it reads, has none that "
                    f"serves all these tasks; share units there, or share none of {structure.layers[layer.ties].name!r}"
                )
