"""The plan as a path through the layers' options, and its exact solution for one price of the loss.

Every boundary between layers costs a product of counts, so the whole is a sum of terms of one layer and of products
``left_l(j) . right_l(i)`` of option j of layer l and option i of the layer before. Where the options of one of the two
lie on a line (two parents of given widths: the number of shared units), the product is one of plain numbers, and a step
of the dynamic programme is a lower envelope of lines instead of a matrix of all pairs of options.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.network_plan.envelope import least_lines

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

_BLOCK = 1 << 22
"""Entries of the largest matrix of option pairs held at once."""


@dataclass(frozen=True)
class Chain:
    """Costs of all paths: ``sum_l unary[l][j_l] + sum_l left[l][j_l] . right[l][j_{l-1}]``, the second from l = 1.

    Parameters
    ----------
    unary : L arrays (J_l,) float64
    left : L - 1 arrays (J_l, r_l) float64 of layers 1..L-1
    right : L - 1 arrays (J_{l-1}, r_l) float64 of layers 0..L-2
    """

    unary: tuple[Vector, ...]
    left: tuple[Vector, ...]
    right: tuple[Vector, ...]

    def restrict(self, kept: Sequence[Indices]) -> "Chain":
        """Return the chain of the options at these positions of every layer."""
        unary = tuple(costs[keep] for costs, keep in zip(self.unary, kept, strict=True))
        left = tuple(factor[keep] for factor, keep in zip(self.left, kept[1:], strict=True))
        right = tuple(factor[keep] for factor, keep in zip(self.right, kept[:-1], strict=True))
        return Chain(unary, left, right)

    def scaled(self, left_shared: Sequence[bool]) -> tuple["Chain", float]:
        """Divide all costs by a power of two above the largest, and return it; shared factors stay as they are."""
        unit = float(np.ldexp(1.0, int(np.frexp(max(self._magnitudes(), default=0.0))[1])))
        left = tuple(x if shared else x / unit for x, shared in zip(self.left, left_shared, strict=True))
        right = tuple(x / unit if shared else x for x, shared in zip(self.right, left_shared, strict=True))
        return Chain(tuple(x / unit for x in self.unary), left, right), unit

    def _magnitudes(self) -> list[float]:
        own = [float(np.abs(costs).max()) for costs in self.unary]
        pairs = zip(self.left, self.right, strict=True)
        return own + [float(np.abs(left).max(axis=0) @ np.abs(right).max(axis=0)) for left, right in pairs]

    @property
    def error(self) -> float:
        """Worst float64 rounding of `best` and `marginals`."""
        parts = self._magnitudes()
        # A line that the hull drops by rounding may have been below those that hide it, and those below others.
        steps = 8 * len(parts) + 4 * max(map(len, self.unary))
        return float(np.finfo(np.float64).eps * steps * sum(parts))

    def cost(self, path: Indices) -> float:
        """Return the cost of one path."""
        total = sum(float(costs[j]) for costs, j in zip(self.unary, path, strict=True))
        pairs = zip(self.left, self.right, path[1:], path[:-1], strict=True)
        return total + sum(float(left[j] @ right[i]) for left, right, j, i in pairs)

    def around(self, path: Indices, layer: int) -> Vector:
        """Return, for every option of one layer, all costs that it takes part in beside the rest of the path."""
        costs = self.unary[layer]
        if layer > 0:
            costs = costs + self.left[layer - 1] @ self.right[layer - 1][path[layer - 1]]
        if layer < len(self.unary) - 1:
            costs = costs + self.right[layer] @ self.left[layer][path[layer + 1]]
        return costs

    def best(self) -> tuple[float, Indices]:
        """Return the least cost and a path that has it, up to rounding."""
        costs, sources = self.unary[0], []
        for unary, left, right in zip(self.unary[1:], self.left, self.right, strict=True):
            step, source = _least(costs, right, left)
            costs = unary + step
            sources.append(source)
        path = [int(costs.argmin())]
        least = float(costs[path[0]])
        for source in reversed(sources):
            path.append(int(source[path[-1]]))
        return least, np.array(path[::-1], np.int64)

    def marginals(self) -> tuple[Vector, ...]:
        """Return for every option the least cost of the paths through it."""
        ahead = [np.zeros(len(self.unary[-1]))]
        for unary, left, right in zip(self.unary[:0:-1], self.left[::-1], self.right[::-1], strict=True):
            ahead.append(_least(unary + ahead[-1], left, right)[0])
        costs, found = self.unary[0], []
        for layer, after in enumerate(reversed(ahead)):
            if layer > 0:
                costs = self.unary[layer] + _least(costs, self.right[layer - 1], self.left[layer - 1])[0]
            found.append(costs + after)
        return tuple(found)


def _least(costs: Vector, source: Vector, target: Vector) -> tuple[Vector, Indices]:
    """Return ``min_i costs[i] + source[i] . target[j]`` and its i for every j."""
    if source.shape[1] == 1:
        return least_lines(source[:, 0], costs, target[:, 0])
    least, chosen = np.empty(len(target)), np.empty(len(target), np.int64)
    rows = max(1, _BLOCK // len(source))
    for start in range(0, len(target), rows):
        pairs = target[start : start + rows] @ source.T + costs
        chosen[start : start + rows] = pairs.argmin(axis=1)
        least[start : start + rows] = pairs.min(axis=1)
    return least, chosen
