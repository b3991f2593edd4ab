"""Which steps write the same units, how many units these are, and why some must stay in order."""

from collections.abc import Sequence
from math import gcd

import networkx as nx

from pam_opt.tracing.steps import Step


def tie_steps(steps: Sequence[Step]) -> list[int]:
    """Give for every step the first one that writes the same units: steps that keep channels apart tie their inputs."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(steps)))
    for index, step in enumerate(steps):
        if not step.is_dense and not step.on_input:
            graph.add_edges_from((index, segment.step) for segment in step.inputs)
    first = {index: min(tied) for tied in nx.connected_components(graph) for index in tied}
    return [first[index] for index in range(len(steps))]


def count_units(steps: Sequence[Step], ties: Sequence[int]) -> list[int]:
    """Give for every step its number of units: the largest that all steps that are tied can be cut into."""
    units: dict[int, int] = {}
    for step, first in zip(steps, ties, strict=True):
        units[first] = gcd(units.get(first, 0), step.parts)
    return [units[first] for first in ties]


def kept_reasons(steps: Sequence[Step], ties: Sequence[int]) -> list[str]:
    """Give for every step why its units cannot be regrouped: the reason of the first tied step that has one."""
    reasons: dict[int, str] = {}
    for step, first in zip(steps, ties, strict=True):
        reasons[first] = reasons.get(first, "") or step.kept
    return [reasons[first] for first in ties]
