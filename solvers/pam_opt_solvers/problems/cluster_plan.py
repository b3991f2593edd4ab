"""ClusterPlan: two tasks and fixed pairs of units; which of the pairs become one shared unit, all layers at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pam_opt_solvers.cluster_plan.form import Form
from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.checks import LARGEST, as_counts, as_float64, as_items, as_real, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.lattice import all_groups, run_probabilities
from pam_opt_solvers.problems.problem import Problem

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ClusterPlan(Problem):
    """Share each pair of units or keep it apart, at least ``loss + price * E[C]``.

    A shared pair is one unit that both tasks use and that reads shared units only; kept apart it is two units, each of
    which reads its own task's units and shared ones. A decision is int64 0 (apart) or 1 (shared) for every pair, all
    layers laid end to end.

    Parameters
    ----------
    merge_loss : L arrays (C_l,) float64, predicted increase of the loss when a pair becomes one unit, the inputs that
        it loses from units outside all pairs included
    edge_loss : L - 1 arrays (C_l, C_{l-1}) float64, of layers 1..L-1: loss of cutting the edges from a pair of the
        layer before (second index), kept apart, to a shared one. +inf = such edges must stay
    macs : (L + 1,) float64 >= 0, MACs per (input unit, output unit) of every layer and of the heads
    inputs : units of the network's input
    singles : (L, 2) int64, units of each task in every layer that are in no pair
    heads : (2,) int64, outputs of both tasks
    price : loss that one MAC is worth, >= 0
    weights : (3,) float64, of the combinations {A}, {B}, {A, B}; default: all alike

    Raises
    ------
    ProblemError
        for wrong shapes, NaN, negative MACs, units or price, totals above 1e300

    Notes
    -----
    With ``save = price * macs_l * pi`` for ``pi`` of group {A, B}, the terms of a pair c and a pair d before it are a
    minimum cut as long as ``edge_loss[c, d] >= save``: no forbidden edge is worth less than the MACs that it saves [1].

    References
    ----------
    .. [1] V. Kolmogorov and R. Zabih, "What energy functions can be minimized via graph cuts?", IEEE TPAMI 26(2),
       2004, doi:10.1109/TPAMI.2004.1262177

    Examples
    --------
    >>> plan = ClusterPlan([[0.1, 9.0]], [], [1.0, 1.0], inputs=2, singles=[[0, 0]], heads=[1, 1], price=1.0)
    >>> [round(plan.value(shared), 3) for shared in ([0, 0], [1, 0], [1, 1])]
    [8.0, 7.433, 15.767]
    """

    kind: ClassVar[str] = "cluster_plan"
    asks: ClassVar[frozenset[Feature]] = frozenset({Feature.FORBIDDEN, Feature.NOT_SUBMODULAR})

    merge_loss: tuple[Vector, ...]
    edge_loss: tuple[Vector, ...]
    macs: Vector
    inputs: int
    singles: NDArray[np.int64]
    heads: NDArray[np.int64]
    price: float
    weights: Vector | None = None

    def __post_init__(self) -> None:
        for name in ("merge_loss", "edge_loss"):
            self._set(name, as_items(getattr(self, name), name))
        merged = tuple(as_float64(x, f"merge_loss[{layer}]", (None,)) for layer, x in enumerate(self.merge_loss))
        self._set("merge_loss", merged)
        sizes = self.sizes
        if len(self.edge_loss) != max(0, len(sizes) - 1):
            raise ProblemError(
                f"edge_loss has {len(self.edge_loss)} arrays; {len(sizes)} layers have one between each two"
            )
        shapes = list(zip(sizes[1:], sizes, strict=False))
        edges = tuple(as_float64(x, f"edge_loss[{layer}]", shapes[layer]) for layer, x in enumerate(self.edge_loss))
        self._set("edge_loss", edges)
        self._set("macs", as_float64(self.macs, "macs", (len(sizes) + 1,)))
        self._set("inputs", int(as_counts([self.inputs], "inputs", (1,))[0]))
        self._set("singles", as_counts(self.singles if len(sizes) else np.zeros((0, 2)), "singles", (len(sizes), 2)))
        self._set("heads", as_counts(self.heads, "heads", (2,)))
        self._set("price", as_real(self.price, "price"))
        if self.weights is not None:
            self._set("weights", as_float64(self.weights, "weights", (3,)))
        self._check_ranges()

    def _check_ranges(self) -> None:
        for name, array in (("macs", self.macs), ("price", np.array([self.price]))):
            if extent(array, name, allow_infinity=False)[0] < 0:
                raise ProblemError(f"{name} must be at least 0; it holds {array.min():g}")
        for layer, losses in enumerate(self.merge_loss):
            extent(losses, f"merge_loss[{layer}]", allow_infinity=True)
        for layer, losses in enumerate(self.edge_loss):
            extent(losses, f"edge_loss[{layer}]", allow_infinity=True)
        _ = self.runs  # checks the weights
        with np.errstate(over="ignore"):
            if not self.magnitudes().sum() <= LARGEST:
                raise ProblemError(f"the value of a plan may exceed {LARGEST:g}; rescale losses, macs or price")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"ClusterPlan({len(self.sizes)} layers, {sum(self.sizes)} pairs, price {self.price:.6g})"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of pairs in every layer."""
        return tuple(map(len, self.merge_loss))

    @cached_property
    def runs(self) -> Vector:
        """(3,) float64: probability that a unit of A only, of B only, and a shared one is computed."""
        return run_probabilities(all_groups(2), self.weights)

    @cached_property
    def form(self) -> Form:
        """The plan as a quadratic function of 0 and 1, as solvers use it."""
        return Form.of(self)

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support."""
        barred = any((x == np.inf).any() for x in (*self.merge_loss, *self.edge_loss))
        present = {Feature.FORBIDDEN: barred, Feature.NOT_SUBMODULAR: any((x < 0).any() for x in self.form.pairs)}
        return frozenset(feature for feature, holds in present.items() if holds)

    @property
    def most_terms(self) -> int:
        """Most costs that a decision sums: three a boundary, a pair's own, and every edge between pairs."""
        return 3 * (len(self.sizes) + 1) + sum(self.sizes) + sum(x.size for x in self.edge_loss)

    def expected_macs(self, decision: ArrayLike) -> float:
        """Return E[C] of a plan."""
        return math.fsum(self._macs_terms(np.asarray(decision)))

    def _macs_terms(self, decision: NDArray[Any]) -> Vector:
        shared = np.array([part.sum() for part in self._by_layer(decision)], np.float64)
        pairs = np.array(self.sizes, np.float64)
        apart = self.singles + (pairs - shared)[:, None]
        whole = np.vstack([[self.inputs] * 2, self.singles + pairs[:, None]])
        own = np.vstack([apart, self.heads]) * whole
        both = np.append(shared, 0.0) * np.append(self.inputs, shared)
        return (self.macs[:, None] * self.runs * np.column_stack([own, both])).ravel()

    def _by_layer(self, decision: NDArray[Any]) -> list[NDArray[Any]]:
        return np.split(decision, np.cumsum(self.sizes)[:-1]) if self.sizes else []

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (sum of C_l,) integers 0 or 1
        """
        try:
            array = np.asarray(decision if np.size(decision) else np.zeros(0, np.int64))
        except ValueError:
            return ("a plan must be an array of integers",)
        if array.shape != (sum(self.sizes),) or array.dtype.kind not in "iu":
            return (f"a plan must be ({sum(self.sizes)},) integers, not {array.dtype} of shape {array.shape}",)
        if not np.isin(array, (0, 1)).all():
            return (f"a pair is 0 (apart) or 1 (shared), not {array[~np.isin(array, (0, 1))][0]}",)
        broken = np.isinf(self._loss_terms(array)).any()
        return ("a pair is shared that must not be, or loses an edge that must stay",) if broken else ()

    def _loss_terms(self, decision: NDArray[Any]) -> Vector:
        shared = [part == 1 for part in self._by_layer(decision)]
        own = [loss[chosen] for loss, chosen in zip(self.merge_loss, shared, strict=True)]
        cut = [
            loss[np.ix_(after, ~before)].ravel()
            for loss, before, after in zip(self.edge_loss, shared, shared[1:], strict=False)
        ]
        return np.concatenate([np.zeros(0), *own, *cut])

    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return the decision as int64."""
        return np.array(decision, np.int64).reshape(sum(self.sizes))

    def terms(self, decision: Any) -> Vector:
        """Return the price of the MACs of every boundary and group, then the losses of pairs and of cut edges."""
        array = self.normalise(decision)
        return np.append(self.price * self._macs_terms(array), self._loss_terms(array))

    def magnitudes(self) -> Vector:
        """Return the largest price of the MACs of every boundary, and every finite loss."""
        whole = np.append(self.inputs, self.singles.sum(axis=1) + 2 * np.array(self.sizes, np.float64))
        boundaries = self.price * self.macs * whole * np.append(whole[1:], self.heads.sum())
        losses = np.concatenate([np.zeros(0), *self.merge_loss, *(x.ravel() for x in self.edge_loss)])
        return np.abs(np.append(boundaries, losses[losses < np.inf]))

    def trivial_bound(self) -> float:
        """Return the sum of the least values of all terms."""
        return self.form.least_of_each - self.float_error()

    def certainly_feasible(self) -> bool:
        """Keeping all pairs apart is always a plan."""
        return True

    def settled(self) -> Outcome | None:
        """Return the outcome where no pair may be shared."""
        if np.isinf(self.form.linear).all():
            return Outcome(Status.OPTIMAL, np.zeros(sum(self.sizes), np.int64), note="nothing to decide")
        return None

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return how many pairs are shared, and E[C]."""
        shared = int(np.sum(decision))
        return f"{shared} of {sum(self.sizes)} pairs shared, expected MACs {self.expected_macs(decision):.6g}"

    def integer_program(self) -> IntegerProgram:
        """Write one variable a pair and one for every product of two.

        Raises
        ------
        SolverUnsuitable
            for more than two million products
        """
        from pam_opt_solvers.cluster_plan.program import program

        return program(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays, those of all layers laid end to end."""
        found: dict[str, NDArray[Any]] = {
            "sizes": np.array(self.sizes, np.int64),
            "merge_loss": np.concatenate([np.zeros(0), *self.merge_loss]),
            "edge_loss": np.concatenate([np.zeros(0), *(x.ravel() for x in self.edge_loss)]),
            "macs": self.macs,
            "inputs": np.array(self.inputs),
            "singles": self.singles,
            "heads": self.heads,
            "price": np.array(self.price),
        }
        return found if self.weights is None else found | {"weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the problem from what `arrays` returned."""
        sizes = as_counts(arrays["sizes"], "sizes", (None,))
        areas = sizes[1:] * sizes[:-1]
        for name, lengths in (("merge_loss", sizes), ("edge_loss", areas)):
            if arrays[name].shape != (lengths.sum(),):
                raise ProblemError(f"{name} has shape {arrays[name].shape}; sizes ask for {lengths.sum()} entries")
        merged = tuple(np.split(arrays["merge_loss"], np.cumsum(sizes)[:-1])) if len(sizes) else ()
        parts = np.split(arrays["edge_loss"], np.cumsum(areas)[:-1]) if len(areas) else []
        shapes = zip(sizes[1:], sizes, strict=False)
        edges = tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        return cls(
            merged,
            edges,
            macs=arrays["macs"],
            inputs=_scalar(arrays["inputs"], "inputs"),
            singles=arrays["singles"],
            heads=arrays["heads"],
            price=_scalar(arrays["price"], "price"),
            weights=arrays.get("weights"),
        )


def _scalar(array: NDArray[Any], name: str) -> Any:
    if array.shape != ():
        raise ProblemError(f"{name} has shape {array.shape}; expected one number")
    return array[()]
