"""The refusal of networks with branches by problems that are stated for chains of layers."""

from pam_opt.structure import Structure, require_chain

GENERAL = ("pairing", "representatives", "columns", "multi", "multi-within", "joint", "grouping", "the controls")
"""Problems that take any network."""


def refuse_branches(structure: Structure, what: str) -> None:
    """Refuse a network whose layers do not each read the one before and write units of their own.

    Raises
    ------
    PlanError : names the first layer that is not part of a chain, and the problems that take any network
    """
    require_chain(structure, what, f"use one of {', '.join(GENERAL)}")
