"""The best combination of one set for every joint budget, from lists of sets."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLOCK = 512
"""Sets of one budget that are put beside those of another one at once."""


def join(table: Floats, families: list[Flags], weights: Floats, need: float) -> tuple[float, Flags] | None:
    """Return the least cost and the sets (J, n) bool that give it; ``None`` if no sets weigh enough together.

    Two sets cost ``sum_u a_u + b_u x_u + c_u y_u + d_u x_u y_u``: for all pairs one matrix product.

    Parameters
    ----------
    table : (n, 2^J) cost of a unit by the sets that it is in; bit j of the column = set j
    families : J lists (M_j, n) bool
    weights : (J, n) prices of being in a set
    need : weight that the sets must have together
    """
    ordered, heights = [], []
    for family, price in zip(families, weights, strict=True):
        weight = family @ price
        order = np.argsort(-weight, kind="stable")
        ordered.append(family[order])
        heights.append(weight[order])
    if not all(len(height) for height in heights):
        return None
    return _JOINS.get(len(families), _join_many)(table, ordered, heights, need)


def _join_one(table: Floats, families: list[Flags], heights: list[Floats], need: float) -> tuple[float, Flags] | None:
    enough = families[0][heights[0] >= need]
    if not len(enough):
        return None
    costs = table[:, 0].sum() + enough @ (table[:, 1] - table[:, 0])
    best = int(costs.argmin())
    return float(costs[best]), enough[best][None]


def _join_two(table: Floats, families: list[Flags], heights: list[Floats], need: float) -> tuple[float, Flags] | None:
    first, second = (family.astype(np.float64) for family in families)
    neither, one, other, both = table.T
    alone = second @ (other - neither)
    best: tuple[float, Flags] | None = None
    for start in range(0, len(first), BLOCK):
        rows = slice(start, start + BLOCK)
        columns = int(np.searchsorted(-heights[1], heights[0][start] - need, side="right"))
        if not columns:
            break
        costs = (first[rows] * (both - one - other + neither)) @ second[:columns].T
        costs += (first[rows] @ (one - neither))[:, None] + alone[:columns]
        place = int(costs.argmin())
        row, column = divmod(place, columns)
        cost = float(costs[row, column] + neither.sum())
        if best is None or cost < best[0]:
            best = cost, np.stack([families[0][start + row], families[1][column]])
    return best


def _join_many(table: Floats, families: list[Flags], heights: list[Floats], need: float) -> tuple[float, Flags] | None:
    """Fix the first set and join the rest at the costs that are left."""
    columns = np.arange(table.shape[1] // 2) << 1
    best: tuple[float, Flags] | None = None
    for chosen, height in zip(families[0], heights[0], strict=True):
        left = need - height
        if sum(other[0] for other in heights[1:]) < left:
            break
        rest = table[:, columns]
        rest[chosen] = table[chosen][:, columns + 1]
        found = _JOINS.get(len(families) - 1, _join_many)(rest, families[1:], heights[1:], left)
        if found is not None and (best is None or found[0] < best[0]):
            best = found[0], np.concatenate([chosen[None], found[1]])
    return best


_JOINS = {1: _join_one, 2: _join_two}
