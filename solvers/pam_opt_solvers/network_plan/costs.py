"""From a plan to chains: expected MACs and loss of every option, and of pairs of options in neighbouring layers.

With ``Q_l`` the cost of a unit of one group reading one of another, a boundary costs ``n_l Q_l n_{l-1}``. Where all
options of one side lie on a line, ``n = base + t direction``, it is a cost of the other side alone and a product of t
with one number of each option there.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.network_plan.chain import Chain, Indices, Vector
from pam_opt_solvers.problems.lattice import readable

if TYPE_CHECKING:
    from pam_opt_solvers.problems.network_plan import NetworkPlan


@dataclass(frozen=True)
class Layers:
    """The permitted options of every layer and the two costs of all paths through them.

    Parameters
    ----------
    objective, spent : chains of the cost to minimise and of the one that has the budget
    left_shared : for every boundary whether its left factors are the same in both chains; else the right ones are.
        The shared factors are whole numbers: units of a group, or how far along the line
    kept : positions of the chains' options in the problem's lists, least sharing first
    budget, allowed : the budget, and with its room for rounding, in the unit of the second chain
    unit, spent_unit : what 1 in the first and in the second chain stands for: powers of two, above all their costs
    """

    objective: Chain
    spent: Chain
    left_shared: tuple[bool, ...]
    kept: tuple[Indices, ...]
    budget: float
    allowed: float
    unit: float
    spent_unit: float

    @classmethod
    def of(cls, problem: "NetworkPlan") -> "Layers":
        """Write both costs of a plan as chains; every layer must permit an option."""
        lines = [_Line.through(counts) for counts in problem.counts]
        kept = tuple(_in_order(line, loss) for line, loss in zip(lines, problem.loss, strict=True))
        units = [counts[keep].astype(np.float64) for counts, keep in zip(problem.counts, kept, strict=True)]
        lines = [line.at(keep) if line else None for line, keep in zip(lines, kept, strict=True)]
        macs = problem.macs[:, None, None] * problem.runs[:, None] * readable(problem.groups)
        edges = np.zeros_like(macs) if problem.edge_loss is None else problem.edge_loss
        merged = [loss[keep] for loss, keep in zip(problem.loss, kept, strict=True)]
        ends = problem.inputs.astype(np.float64), problem.heads.astype(np.float64)
        left_shared = tuple(a is None and b is not None for a, b in itertools.pairwise(lines))
        parts = (macs, [np.zeros(len(x)) for x in merged]), (edges, merged)
        chains = [_chain(rates, own, units, lines, ends).scaled(left_shared) for rates, own in parts]
        (objective, unit), (spent, spent_unit) = chains if problem.minimises_macs else chains[::-1]
        return cls(
            objective,
            spent,
            left_shared,
            kept,
            problem.budget / spent_unit,
            problem.allowed / spent_unit,
            unit,
            spent_unit,
        )

    def options(self, path: Indices) -> Indices:
        """Return the problem's decision of a path."""
        return np.array([keep[j] for keep, j in zip(self.kept, path, strict=True)], np.int64)

    def path(self, decision: Indices) -> Indices:
        """Return the path of one of the problem's decisions whose options are all here."""
        return np.array(
            [int(np.flatnonzero(keep == j)[0]) for keep, j in zip(self.kept, decision, strict=True)], np.int64
        )

    def restrict(self, kept: Sequence[Indices]) -> "Layers":
        """Return the costs of the options at these positions of every layer."""
        chosen = tuple(old[new] for old, new in zip(self.kept, kept, strict=True))
        return replace(self, objective=self.objective.restrict(kept), spent=self.spent.restrict(kept), kept=chosen)

    def priced(self, price: float) -> Chain:
        """Return the chain of ``objective + price * spent``."""
        a, b = self.objective, self.spent
        unary = tuple(x + price * y for x, y in zip(a.unary, b.unary, strict=True))
        left = tuple(
            x if shared else x + price * y for x, y, shared in zip(a.left, b.left, self.left_shared, strict=True)
        )
        right = tuple(
            x + price * y if shared else x for x, y, shared in zip(a.right, b.right, self.left_shared, strict=True)
        )
        return Chain(unary, left, right)


@dataclass(frozen=True)
class _Line:
    """Options whose counts are ``base + t direction``, t whole and at least 0."""

    base: Vector
    direction: Vector
    t: NDArray[np.int64]

    @classmethod
    def through(cls, counts: NDArray[np.int64]) -> "_Line | None":
        steps = counts - counts[0]
        moved = np.flatnonzero(steps.any(axis=1))
        direction = steps[moved[0]] if len(moved) else np.zeros(counts.shape[1], np.int64)
        direction = direction // max(1, int(np.gcd.reduce(direction)))
        group = int(np.abs(direction).argmax())
        t = steps[:, group] // direction[group] if len(moved) else np.zeros(len(counts), np.int64)
        if (t[:, None] * direction != steps).any():
            return None
        base = counts[0] + t.min() * direction
        return cls(base.astype(np.float64), direction.astype(np.float64), t - t.min())

    def at(self, keep: Indices) -> "_Line":
        return replace(self, t=self.t[keep])


def _in_order(line: _Line | None, loss: Vector) -> Indices:
    """Return the permitted options, along their line or else by rising loss."""
    kept = np.flatnonzero(loss < np.inf)
    return kept[np.argsort((loss if line is None else line.t)[kept], kind="stable")]


def _chain(
    rates: Vector, merged: list[Vector], units: list[Vector], lines: list[_Line | None], ends: tuple[Vector, Vector]
) -> Chain:
    """Return the chain of one cost: ``rates`` (L + 1, G, G) of every boundary, ``merged`` of every layer."""
    unary, left, right = [x.copy() for x in merged], [], []
    if not units:
        return Chain((), (), ())
    unary[0] += units[0] @ (rates[0] @ ends[0])
    unary[-1] += (ends[1] @ rates[-1]) @ units[-1].T
    for layer in range(1, len(units)):
        before, after, rate = lines[layer - 1], lines[layer], rates[layer]
        if before is not None:
            unary[layer] += units[layer] @ (rate @ before.base)
            left.append((units[layer] @ (rate @ before.direction))[:, None])
            right.append(before.t[:, None].astype(np.float64))
        elif after is not None:
            unary[layer - 1] += (after.base @ rate) @ units[layer - 1].T
            left.append(after.t[:, None].astype(np.float64))
            right.append(((after.direction @ rate) @ units[layer - 1].T)[:, None])
        else:
            left.append(units[layer] @ rate)
            right.append(units[layer - 1])
    return Chain(tuple(unary), tuple(left), tuple(right))
