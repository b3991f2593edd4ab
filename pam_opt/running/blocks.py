"""Which groups of a layer are computed in one call, for one combination of tasks. No weights."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from pam_opt.structure import DENSE, Source, Structure
from pam_opt.tasks import Group


@dataclass(frozen=True)
class Block:
    """Name the groups of one layer that one call computes.

    Parameters
    ----------
    groups : in the order of their rows
    sources : what the call reads, in the order of its columns; for layers that join signals unit by unit, the groups
        themselves, input after input
    """

    groups: tuple[Group, ...]
    sources: tuple[Source, ...]


def arrange(
    structure: Structure, active: Group, positions: Sequence[int] | None = None, call_macs: float = 0.0
) -> list[list[Block]]:
    """Arrange the active groups of every layer into calls.

    Groups that read exactly the same sources are one dense operation with their rows below each other. Others read
    sources of their own, as the lattice says; one call for them multiplies zeros as well. Two calls of a layer become
    one, the cheapest first, as long as that adds at most `call_macs` zero MACs.

    Parameters
    ----------
    active : the combination of tasks that is run
    positions : output positions of every layer (`pam_opt.macs.output_positions`); needed with `call_macs` only
    call_macs : MACs per sample that one call less is worth; 0 = exactly the MACs of the lattice, inf = one call a layer

    Returns
    -------
    blocks : for every layer its calls, in the canonical order of their first groups
    """
    arranged: list[list[Block]] = []
    for index, layer in enumerate(structure.layers):
        groups = [group for group in structure.groups(index) if group & active]
        if _stands_alone(structure, index):
            blocks = [Block((group,), tuple(structure.sources(index, group))) for group in groups]
        elif layer.kind in DENSE:
            rate = layer.kernel_area * layer.size * (positions[index] if positions else 1)
            blocks = _dense_blocks(structure, index, groups, call_macs / rate)
        else:
            blocks = _unit_blocks(structure, index, groups, arranged)
        arranged.append(blocks)
    return arranged


def _stands_alone(structure: Structure, index: int) -> bool:
    """Whether every group needs a call of its own, because what it computes depends on all units of the call.

    Layers that are kept, and heads, may have operations behind them that mix units, such as a softmax.
    """
    layer = structure.layers[index]
    last = index == len(structure.layers) - 1
    return layer.kind == "layer_norm" or bool(layer.kept) or (last and bool(layer.post))


def _dense_blocks(structure: Structure, index: int, groups: Sequence[Group], weights: float) -> list[Block]:
    """Join the calls of a dense layer; `weights` is the number of zero weights that one call less is worth."""
    by_sources: dict[tuple[Source, ...], list[Group]] = {}
    for group in groups:
        by_sources.setdefault(tuple(structure.sources(index, group)), []).append(group)
    blocks = [Block(tuple(members), sources) for sources, members in by_sources.items()]
    while len(blocks) > 1:
        zeros, one, other = min(
            (_zeros(structure, index, *pair), *positions)
            for positions, pair in zip(
                itertools.combinations(range(len(blocks)), 2), itertools.combinations(blocks, 2), strict=True
            )
        )
        if zeros > weights:
            break
        blocks[one] = _union(structure, index, blocks[one], blocks.pop(other))
    return blocks


def _zeros(structure: Structure, index: int, one: Block, other: Block) -> int:
    """Count the zero weights that one call for two adds."""
    both = _weights(structure, index, _union(structure, index, one, other))
    return both - _weights(structure, index, one) - _weights(structure, index, other)


def _weights(structure: Structure, index: int, block: Block) -> int:
    rows = sum(structure.units(index, group) for group in block.groups)
    return rows * sum(structure.units(*source) for source in block.sources)


def _union(structure: Structure, index: int, one: Block, other: Block) -> Block:
    """Join two blocks; groups and sources stay in canonical order."""
    groups = [group for group in structure.groups(index) if group in one.groups + other.groups]
    every = [(source, group) for source in structure.layers[index].inputs for group in structure.groups(source)]
    return Block(tuple(groups), tuple(source for source in every if source in one.sources + other.sources))


def _unit_blocks(
    structure: Structure, index: int, groups: Sequence[Group], arranged: Sequence[Sequence[Block]]
) -> list[Block]:
    """Let units that read themselves only keep the blocks of what they read; one block a group if these differ."""
    inputs = structure.layers[index].inputs
    found = {tuple(block.groups for block in arranged[source]) for source in inputs if source >= 0}
    parts = found.pop() if len(found) == 1 and min(inputs) >= 0 else tuple((group,) for group in groups)
    return [Block(part, tuple((source, group) for source in inputs for group in part)) for part in parts]
