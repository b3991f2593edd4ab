"""Problems that are stated for chains of layers, and the refusal of other networks."""

from collections.abc import Mapping

from pam_opt.errors import PlanError
from pam_opt.network import MultitaskNetwork
from pam_opt.planning.request import Request
from pam_opt.structure import Structure

GENERAL = ("pairing", "representatives", "columns", "multi", "multi-within", "joint", "grouping", "the controls")
"""Problems that take any network."""


def refuse_graph(request: Request, what: str) -> None:
    """Refuse a network whose layers do not each read the one before and write units of their own.

    Raises
    ------
    PlanError : names the first layer that is no part of a chain, and the problems that take any network
    """
    refuse_branches(request.parents, what)


def refuse_branches(parents: Mapping[str, MultitaskNetwork], what: str) -> None:
    """Refuse parents that are no chains; see `refuse_graph`."""
    structure = next(iter(parents.values())).structure
    found = _first_outside(structure)
    if found is not None:
        index, why = found
        raise PlanError(
            f"{what} takes a chain of layers, but layer {structure.layers[index].name!r} {why}; use one of "
            f"{', '.join(GENERAL)}"
        )


def _first_outside(structure: Structure) -> tuple[int, str] | None:
    """Return the first layer that is no part of a chain, and why."""
    for index, layer in enumerate(structure.layers):
        if layer.ties != index:
            return index, f"writes the units of {structure.layers[layer.ties].name!r}"
        if layer.inputs != (index - 1,):
            sources = ["the input" if i < 0 else repr(structure.layers[i].name) for i in layer.inputs]
            return index, f"reads {' and '.join(sources)}"
        if not layer.is_dense or layer.size != 1:
            return index, f"is of kind {layer.kind!r} with {layer.size} channels a unit"
    return None
