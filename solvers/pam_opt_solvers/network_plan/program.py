"""The plan as an integer linear programme: one choice a layer, and products of neighbouring counts made linear.

``x[l, j]`` says whether layer l takes option j. Every boundary costs products ``a_j t``: a number of the option of one
layer times a whole number t that the option of the other decides. With ``z_j = x_j t``,

    sum_j z_j = sum_i t_i x_i,    low x_j <= z_j <= high x_j,

which is exact where the x are 0 or 1, and has as many variables as there are options, not pairs of them [1].

[1] W. P. Adams and H. D. Sherali, "A tight linearization and an algorithm for zero-one quadratic programming problems",
    Management Science 32(10), 1986, doi:10.1287/mnsc.32.10.1274.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.network_plan.chain import Vector
from pam_opt_solvers.network_plan.costs import Layers

if TYPE_CHECKING:
    from pam_opt_solvers.problems.network_plan import NetworkPlan


@dataclass(frozen=True)
class _Products:
    """One group of products between two layers: which layer has the z, at what costs, and what its t can be."""

    own: int
    other: int
    objective: Vector
    spent: Vector
    t: Vector


def program(problem: "NetworkPlan") -> IntegerProgram:
    """Return the programme of a plan; options through which every plan exceeds the budget are left out."""
    layers = _affordable(problem.layers)
    products = _products(layers)
    sizes = [len(kept) for kept in layers.kept]
    starts = np.cumsum([0, *sizes, *(len(each.objective) for each in products)])
    chosen, made = starts[: len(sizes) + 1], starts[len(sizes) :]
    rows = _Rows()
    for layer, size in enumerate(sizes):
        rows.add([(chosen[layer] + np.arange(size), np.ones(size))], 1.0, 1.0)
    for each, start in zip(products, made, strict=False):
        _link(rows, each, chosen, start)
    # Half of the room that a decision has: the other half is for the backends' own tolerances.
    spending = np.concatenate([*layers.spent.unary, *(each.spent for each in products)])
    rows.add([(np.arange(len(spending)), spending)], -np.inf, (layers.budget + layers.allowed) / 2)
    objective = np.concatenate([*layers.objective.unary, *(each.objective for each in products)]) * layers.unit
    upper = np.concatenate([np.ones(chosen[-1]), *(np.full(len(each.objective), each.t.max()) for each in products)])
    return IntegerProgram(
        objective=objective,
        matrix=rows.matrix(len(upper)),
        row_low=np.array(rows.low),
        row_high=np.array(rows.high),
        upper=upper,
        integer=np.arange(len(upper)) < chosen[-1],
        decode=lambda x: layers.options(np.array([x[a:b].argmax() for a, b in itertools.pairwise(chosen)])),
        terms=len(sizes) + int(sum(each.t.max() for each in products)),
        worst=4 * np.finfo(np.float64).eps * float(np.abs(objective).max(initial=0.0)),
        row_names={len(rows.low) - 1: f"budget of {problem.spent_name}"},
    )


def _affordable(layers: Layers) -> Layers:
    chain = layers.spent
    kept = [np.flatnonzero(least - chain.error <= layers.allowed) for least in chain.marginals()]
    return layers.restrict(kept)


def _products(layers: Layers) -> list[_Products]:
    a, b = layers.objective, layers.spent
    found = []
    for before, left_shared in enumerate(layers.left_shared):
        for r in range(a.left[before].shape[1]):
            left, right = (a.left[before][:, r], b.left[before][:, r]), (a.right[before][:, r], b.right[before][:, r])
            if left_shared:
                found.append(_Products(before, before + 1, *right, left[0]))
            else:
                found.append(_Products(before + 1, before, *left, right[0]))
    return [each for each in found if each.t.any() and (each.objective.any() or each.spent.any())]


def _link(rows: "_Rows", product: _Products, chosen: NDArray[np.int64], start: int) -> None:
    size = len(product.objective)
    x, z = chosen[product.own] + np.arange(size), start + np.arange(size)
    other = chosen[product.other] + np.arange(len(product.t))
    low, high = product.t.min(), product.t.max()
    rows.add([(np.append(z, other), np.append(np.ones(size), -product.t))], 0.0, 0.0)
    rows.add([((z_j, x_j), (1.0, -high)) for z_j, x_j in zip(z, x, strict=True)], -np.inf, 0.0)
    if low > 0:
        rows.add([((z_j, x_j), (1.0, -low)) for z_j, x_j in zip(z, x, strict=True)], 0.0, np.inf)


class _Rows:
    """Rows of the programme as they come."""

    def __init__(self) -> None:
        self.columns: list[Any] = []
        self.values: list[Any] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, rows: Iterable[tuple[Any, Any]], low: float, high: float) -> None:
        """Add rows of the same limits, each as its columns and their coefficients."""
        for columns, values in rows:
            self.columns.append(np.asarray(columns))
            self.values.append(np.asarray(values))
            self.low.append(low)
            self.high.append(high)

    def matrix(self, n_variables: int) -> Any:
        """Return all rows as a sparse matrix."""
        from scipy.sparse import csr_array

        ends = np.cumsum([0, *map(len, self.columns)])
        entries = np.concatenate(self.values), np.concatenate(self.columns), ends
        return csr_array(entries, shape=(len(self.low), n_variables))
