"""Branch and bound on three parents: are two units in one cluster, or not (Ryan and Foster [1]).

Nodes are taken from the lowest bound, or depth first to find decisions soon; of several pairs that the relaxation
shares about evenly, the one whose two children rise most is branched on (strong branching). Clusters whose reduced
cost exceeds the gap are dropped for good.

[1] D. M. Ryan, B. A. Foster, "An integer programming approach to scheduling", 1981.
"""

import heapq
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.column_lp import ColumnLp, Relaxed

Index = NDArray[np.int64]

CANDIDATES = 8


@dataclass(frozen=True, eq=False)
class Node:
    """A part of the problem: the clusters that it permits, and how the relaxation shares them."""

    bound: float
    permitted: Index
    share: NDArray[np.float64]


@dataclass
class BranchAndBound:
    """Find the best decision over the clusters of a relaxation that is better than ``cutoff``.

    Parameters
    ----------
    lp : the relaxation
    cutoff : decisions of this value or more are not wanted; falls as better ones are found
    deadline : second of `time.perf_counter` at which to stop
    most_nodes : nodes after which to stop
    margin : improvements of no more than this do not count
    depth_first : whether the deepest node is next, for a search that is cut short; it then raises no bound
    """

    lp: ColumnLp
    cutoff: float
    deadline: float
    most_nodes: float = np.inf
    margin: float = 1e-9
    depth_first: bool = False
    best: Index | None = None
    bound: float = -np.inf
    nodes: int = 0

    def run(self) -> bool:
        """Search, and say whether the search is complete; ``bound`` and ``best`` (clusters) hold what it found."""
        root = self._evaluate(np.arange(len(self.lp.costs)))
        if root is None:
            self.bound = self.cutoff if not self._late else self.bound
            return not self._late
        heap, count = [(self._turn(root, 0), 0, root)], 0
        while heap:
            (depth, _), _, node = heapq.heappop(heap)
            if node.bound >= self.cutoff - self.margin:
                continue
            if not self.depth_first:
                self.bound = max(self.bound, node.bound)
            if self._late or self.nodes >= self.most_nodes:
                return False
            for child in self._branch(node):
                count += 1
                heapq.heappush(heap, (self._turn(child, depth), count, child))
        if self._late:
            return False
        self.bound = self.cutoff - self.margin
        return True

    def _turn(self, node: Node, depth: float) -> tuple[float, float]:
        return (depth - 1.0 if self.depth_first else 0.0), node.bound

    @property
    def _late(self) -> bool:
        return time.perf_counter() >= self.deadline

    def _evaluate(self, permitted: Index) -> Node | None:
        relaxed = self.lp.solve(permitted, self.deadline - time.perf_counter())
        if relaxed is None:
            # Only time stops a feasible relaxation; the node's bound is then its parent's, so the search is cut short.
            self.deadline = -np.inf
            return None
        if relaxed.bound >= self.cutoff - self.margin:
            return None
        if relaxed.whole:
            self._offer(permitted, relaxed)
            return None
        near = relaxed.reduced < self.cutoff - relaxed.bound
        return Node(relaxed.bound, permitted[near], relaxed.share[near])

    def _offer(self, permitted: Index, relaxed: Relaxed) -> None:
        chosen = permitted[relaxed.share > 0.5]
        value = float(self.lp.costs[chosen].sum())
        if value < self.cutoff:
            self.best, self.cutoff = self.lp.clusters[chosen], value

    def _branch(self, node: Node) -> list[Node]:
        self.nodes += 1
        best: list[Node] = []
        best_score = -1.0
        for first, second in self._pairs(node):
            children = self._children(node, first, second)
            if self._late:
                return []
            if len(children) < 2:
                return children
            score = float(np.prod([max(child.bound - node.bound, 1e-9) for child in children]))
            if score > best_score:
                best, best_score = children, score
        return best

    def _children(self, node: Node, first: int, second: int) -> list[Node]:
        rows = self.lp.rows[node.permitted]
        has_first, has_second = (rows == first).any(axis=1), (rows == second).any(axis=1)
        together = self._evaluate(node.permitted[has_first == has_second])
        apart = self._evaluate(node.permitted[~(has_first & has_second)])
        return [child for child in (together, apart) if child is not None]

    def _pairs(self, node: Node) -> list[tuple[int, int]]:
        """Return the pairs of units that the relaxation shares most evenly, at most ``CANDIDATES``."""
        rows, n = self.lp.rows[node.permitted], self.lp.n_rows + 1
        keys = np.concatenate([rows[:, p] * n + rows[:, q] for p, q in ((0, 1), (0, 2), (1, 2))])
        real = np.concatenate([(rows[:, p] < n - 1) & (rows[:, q] < n - 1) for p, q in ((0, 1), (0, 2), (1, 2))])
        pairs, inverse = np.unique(keys[real], return_inverse=True)
        share = np.bincount(inverse, weights=np.tile(node.share, 3)[real], minlength=len(pairs))
        uneven = np.abs(share - 0.5)
        order = np.argsort(uneven, kind="stable")
        order = order[uneven[order] < 0.5 - 1e-6][:CANDIDATES]
        return [divmod(int(pairs[at]), n) for at in order]
