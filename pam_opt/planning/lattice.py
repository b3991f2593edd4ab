"""What the lattice demands of a plan in which units have been given groups: everyone finds something to read."""

from collections.abc import Sequence

from pam_opt.errors import PlanError
from pam_opt.structure import canonical
from pam_opt.tasks import Group, combination_key


def refuse_unreadable(
    layer: str, groups: Sequence[Group], tasks: Sequence[str], before: Sequence[Group] | None
) -> None:
    """Refuse groups of a layer with which some task could not be run.

    They are not repaired: a unit that cannot read what its group may read would have to change its group, and so
    would its readers, against what was decided for them.

    Parameters
    ----------
    groups : of all units of the layer; the empty group for a dropped one
    before : of the units of the layer before; None for the first layer

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
        if before is not None and not any(group <= source for source in before):
            raise PlanError(
                f"layer {layer!r}: units of group {combination_key(group)!r} would read nothing, because the layer "
                "before has no unit that serves all these tasks (shared units read shared units only); lower the "
                "threshold of the layer before, or raise that of this one"
            )
