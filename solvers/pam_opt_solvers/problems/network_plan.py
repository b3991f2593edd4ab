"""NetworkPlan: how much every layer shares, all layers at once, at least expected MACs or at least loss."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.network_plan.costs import Layers
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.checks import LARGEST, as_counts, as_float64, as_items, as_real, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.lattice import all_groups, as_groups, readable, run_probabilities
from pam_opt_solvers.problems.problem import Problem

Vector = NDArray[np.float64]
Counts = NDArray[np.int64]

ROOM = 1e-6
"""A budget is met if it is exceeded by no more than this part of it: no rounding, ours or a backend's, decides then."""


@dataclass(frozen=True, eq=False, repr=False)
class NetworkPlan(Problem):
    """Choose one option of every layer: how many units of every group it has, and what merging them to that loses.

    A decision is the (L,) int64 option of every layer. The budget is on one of the two costs, expected MACs and loss;
    the other is minimised.

    Parameters
    ----------
    groups : (G, K) bool, which tasks each group serves
    runs : (G,) float64 in 0..1, probability ``pi(g)`` that a group is computed; see `run_probabilities`
    macs : (L + 1,) float64 >= 0, MACs per (input unit, output unit) of every layer and of the heads
    inputs : (G,) int64, units of each group that the first layer reads (the network's input serves all tasks)
    heads : (G,) int64, units of each group that read the last layer
    counts : L arrays (J_l, G) int64 >= 0, units of each group in every option. Order options from least to most
        sharing where there is such an order: ``uniform`` takes the same part of every layer's list
    loss : L arrays (J_l,) float64, predicted increase of the loss of every option; +inf = forbidden
    edge_loss : (L + 1, G, G) float64, loss of every pair of a unit of group g (first index) and a unit of group h in
        the layer before, for instance the importance of an edge that the lattice cuts; default: none
    loss_budget : minimise expected MACs among the plans that lose at most this
    macs_budget : minimise the loss among the plans of at most these expected MACs

    Raises
    ------
    ProblemError
        for wrong shapes, NaN, negative counts or MACs, totals above 1e300, no budget or two

    Notes
    -----
    ``E[C] = sum_l macs_l sum_g runs_g n_l(g) sum_{h contains g} n_{l-1}(h)`` and
    ``loss = sum_l loss_l(j_l) + sum_l sum_{g, h} edge_loss_l(g, h) n_l(g) n_{l-1}(h)``.

    Examples
    --------
    Two parents of 2 units, one input, one head each; sharing one pair of units loses 1, sharing both 4:

    >>> curve = np.array([0.0, 1.0, 4.0])
    >>> plan = NetworkPlan.of_two_parents([(2, 2)], [curve], [1.0, 1.0], 1, (1, 1), loss_budget=1.5)
    >>> [round(plan.expected_macs([shared]), 3) for shared in range(3)]
    [5.333, 5.0, 4.667]
    >>> round(plan.value([1]), 3), plan.violations([2])
    (5.0, ('loss is 4, above the budget of 1.5',))
    """

    kind: ClassVar[str] = "network_plan"
    asks: ClassVar[frozenset[Feature]] = frozenset({Feature.FORBIDDEN})

    groups: NDArray[np.bool_]
    runs: Vector
    macs: Vector
    inputs: Counts
    heads: Counts
    counts: tuple[Counts, ...]
    loss: tuple[Vector, ...]
    edge_loss: Vector | None = None
    loss_budget: float | None = None
    macs_budget: float | None = None

    @classmethod
    def of_two_parents(
        cls,
        widths: ArrayLike,
        loss: Sequence[ArrayLike],
        macs: ArrayLike,
        inputs: int,
        heads: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        edge_loss: ArrayLike | None = None,
        loss_budget: float | None = None,
        macs_budget: float | None = None,
    ) -> Self:
        """State the plan of two parents: option s of a layer merges s pairs of units.

        Parameters
        ----------
        widths : (L, 2) int64, units of both parents in every layer
        loss : L arrays (S_l + 1,) float64, loss of merging 0..S_l pairs, such as a ``pairing_curve``; +inf = impossible
        macs : (L + 1,) float64, as of the class
        inputs : units of the network's input
        heads : (2,) int64, outputs of both tasks
        weights : (3,) float64, of the combinations {A}, {B}, {A, B}; default: all alike
        edge_loss : (L + 1, 2) float64, mean importance of an edge from an exclusive unit of A or of B to a shared unit
            of layer l: the lattice cuts it. The first and the last have no such edges and are not read

        Raises
        ------
        ProblemError
            as the class; for a curve longer than the narrower parent allows
        """
        both = as_counts(widths, "widths", (None, 2))
        groups, curves = all_groups(2), as_items(loss, "loss")
        counts = tuple(
            _two_parent_counts(layer, pair, curve)
            for layer, (pair, curve) in enumerate(zip(both, curves, strict=False))
        )
        cut = None
        if edge_loss is not None:
            cut = np.zeros((len(both) + 1, 3, 3))
            cut[:, 2, :2] = as_float64(edge_loss, "edge_loss", (len(both) + 1, 2))
        outputs = np.append(as_counts(heads, "heads", (2,)), 0)
        first = np.append(np.zeros(2, np.int64), as_counts([inputs], "inputs", (1,)))
        runs = run_probabilities(groups, weights)
        return cls(groups, runs, macs, first, outputs, counts, curves, cut, loss_budget, macs_budget)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        self._set("groups", as_groups(self.groups))
        size = len(self.groups)
        self._set("runs", as_float64(self.runs, "runs", (size,)))
        self._set("macs", as_float64(self.macs, "macs", (None,)))
        for name in ("inputs", "heads"):
            self._set(name, as_counts(getattr(self, name), name, (size,)))
        for name in ("counts", "loss"):
            self._set(name, as_items(getattr(self, name), name))
        lengths = {"counts": len(self.counts), "loss": len(self.loss), "macs": len(self.macs) - 1}
        if len(set(lengths.values())) > 1:
            raise ProblemError(f"numbers of layers differ: {lengths}; macs has one entry more than there are layers")
        self._set(
            "counts", tuple(as_counts(n, f"counts[{layer}]", (None, size)) for layer, n in enumerate(self.counts))
        )
        shapes = [(len(n),) for n in self.counts]
        self._set("loss", tuple(as_float64(x, f"loss[{layer}]", shapes[layer]) for layer, x in enumerate(self.loss)))
        if self.edge_loss is not None:
            self._set("edge_loss", as_float64(self.edge_loss, "edge_loss", (len(self.macs), size, size)))
        self._check_ranges()

    def _check_ranges(self) -> None:
        for name, most in (("runs", 1.0), ("macs", LARGEST)):
            low, high = extent(getattr(self, name), name, allow_infinity=False)
            if low < 0 or (high > most and high > 0):
                raise ProblemError(f"{name} must lie in 0..{most:g}; it holds {low if low < 0 else high:g}")
        for layer, losses in enumerate(self.loss):
            extent(losses, f"loss[{layer}]", allow_infinity=True)
            if not len(losses):
                raise ProblemError(f"layer {layer} has no options; give at least one, or leave the layer out")
        if self.edge_loss is not None:
            extent(self.edge_loss, "edge_loss", allow_infinity=False)
        if (self.loss_budget is None) == (self.macs_budget is None):
            raise ProblemError("give one of loss_budget and macs_budget; the other cost is minimised")
        name = "loss_budget" if self.macs_budget is None else "macs_budget"
        self._set(name, as_real(getattr(self, name), name))
        with np.errstate(over="ignore"):
            totals = {"expected MACs": self._macs_magnitudes().sum(), "loss": self._loss_magnitudes().sum()}
        for cost, total in totals.items():
            if not total <= LARGEST:
                raise ProblemError(f"the {cost} of a plan may exceed {LARGEST:g}; rescale macs or losses")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        budget = f"{self.spent_name} at most {self.budget:.6g}"
        return f"NetworkPlan({self.n_layers} layers, {sum(map(len, self.loss))} options, {budget})"

    @property
    def n_layers(self) -> int:
        """Number of layers that have a choice of options."""
        return len(self.counts)

    @property
    def minimises_macs(self) -> bool:
        """Whether expected MACs are minimised and the loss has the budget; else the reverse."""
        return self.loss_budget is not None

    @property
    def spent_name(self) -> str:
        """Name of the cost that has the budget."""
        return "loss" if self.minimises_macs else "expected MACs"

    @property
    def budget(self) -> float:
        """The budget that is given."""
        return self.loss_budget if self.loss_budget is not None else self.macs_budget  # type: ignore[return-value]

    @property
    def allowed(self) -> float:
        """The most that a decision may spend: the budget and a little room for rounding."""
        return self.budget + ROOM * abs(self.budget)

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support: forbidden options, if there are any."""
        return frozenset({Feature.FORBIDDEN} if any((x == np.inf).any() for x in self.loss) else ())

    @property
    def most_terms(self) -> int:
        """Number of costs that a decision sums."""
        return self._terms_of(np.zeros(self.n_layers, np.int64), self.minimises_macs).size

    def unit_counts(self, decision: ArrayLike) -> Counts:
        """Return the units of every group in every layer, (L, G) int64."""
        chosen = [n[j] for n, j in zip(self.counts, np.asarray(decision), strict=True)]
        return np.array(chosen, np.int64).reshape(self.n_layers, len(self.groups))

    def expected_macs(self, decision: ArrayLike) -> float:
        """Return E[C] of a plan, whether or not it meets the budget."""
        return math.fsum(self._terms_of(np.asarray(decision), True))

    def total_loss(self, decision: ArrayLike) -> float:
        """Return the loss of a plan, whether or not it meets the budget."""
        return math.fsum(self._terms_of(np.asarray(decision), False))

    def _terms_of(self, decision: Counts, macs: bool) -> Vector:
        units = np.vstack([self.inputs, self.unit_counts(decision), self.heads]).astype(np.float64)
        if macs:
            return (self.macs[:, None] * self.runs * units[1:] * (units[:-1] @ readable(self.groups).T)).ravel()
        merged = np.array([x[j] for x, j in zip(self.loss, decision, strict=True)], np.float64)
        if self.edge_loss is None:
            return merged
        return np.append(merged, self.edge_loss * units[1:, :, None] * units[:-1, None, :])

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (L,) integers, option of every layer
        """
        try:
            array = np.asarray(decision if np.size(decision) else np.zeros(0, np.int64))
        except ValueError:
            return ("a plan must be an array of integers",)
        if array.shape != (self.n_layers,) or array.dtype.kind not in "iu":
            return (f"a plan must be ({self.n_layers},) integers, not {array.dtype} of shape {array.shape}",)
        sizes = np.array([len(x) for x in self.loss], np.int64)
        outside = np.flatnonzero((array < 0) | (array >= sizes))
        if len(outside):
            layer = outside[0]
            return (f"option {array[layer]} of layer {layer} does not exist; it has {sizes[layer]}",)
        forbidden = [layer for layer, x in enumerate(self.loss) if x[array[layer]] == np.inf]
        if forbidden:
            return (f"option {array[forbidden[0]]} of layer {forbidden[0]} is forbidden",)
        spent = math.fsum(self._terms_of(array, not self.minimises_macs))
        over = spent > self.allowed
        return (f"{self.spent_name} is {spent:.9g}, above the budget of {self.budget:.9g}",) if over else ()

    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return the decision as int64."""
        return np.array(decision, np.int64).reshape(self.n_layers)

    def terms(self, decision: Any) -> Vector:
        """Return the costs to minimise: of every boundary and group (MACs), or of every layer and pair of groups."""
        return self._terms_of(self.normalise(decision), self.minimises_macs)

    def magnitudes(self) -> Vector:
        """Return the largest MACs or loss that each boundary can have, and every finite loss of a layer."""
        return self._macs_magnitudes() if self.minimises_macs else self._loss_magnitudes()

    def _most_units(self) -> Vector:
        most = [n.max(axis=0, initial=0) for n in self.counts]
        return np.vstack([self.inputs, *most, self.heads]).astype(np.float64)

    def _macs_magnitudes(self) -> Vector:
        units = self._most_units()
        return self.macs * units[1:].sum(axis=1) * units[:-1].sum(axis=1)

    def _loss_magnitudes(self) -> Vector:
        merged = [np.abs(x[x < np.inf]) for x in self.loss]
        if self.edge_loss is not None:
            units = self._most_units()
            merged.append((np.abs(self.edge_loss) * units[1:, :, None] * units[:-1, None, :]).ravel())
        return np.concatenate([np.zeros(0), *merged])

    @cached_property
    def layers(self) -> Layers:
        """The costs of permitted options and of pairs of them in neighbouring layers, as solvers use them."""
        return Layers.of(self)

    @cached_property
    def least_spending(self) -> NDArray[np.int64]:
        """The permitted plan that spends least, whether or not it meets the budget."""
        if self.minimises_macs and self.edge_loss is None:  # layer by layer, without any rounding
            return np.array([loss.argmin() for loss in self.loss], np.int64)
        return self.layers.options(self.layers.spent.best()[1])

    @cached_property
    def _least_objective(self) -> float:
        chain = self.layers.objective
        return (chain.best()[0] - chain.error) * self.layers.unit

    def trivial_bound(self) -> float:
        """Return the optimum without the budget; +inf where no plan meets the budget."""
        outcome = self.settled()
        if outcome is not None:
            return math.inf if outcome.decision is None else self.value(outcome.decision)
        return self._least_objective

    def certainly_feasible(self) -> bool:
        """Whether the plan that spends least meets the budget."""
        if not self.n_layers or any((x == np.inf).all() for x in self.loss):
            return not self.n_layers and not self.violations([])
        return not self.violations(self.least_spending)

    def settled(self) -> Outcome | None:
        """Return the outcome where no layer has a choice, or no plan meets the budget."""
        barred = [layer for layer, x in enumerate(self.loss) if (x == np.inf).all()]
        if barred:
            return Outcome(Status.INFEASIBLE, note=f"every option of layer {barred[0]} is forbidden")
        if all((x < np.inf).sum() == 1 for x in self.loss):
            only = np.array([int(np.flatnonzero(x < np.inf)[0]) for x in self.loss], np.int64)
            broken = self.violations(only)
            status = Status.INFEASIBLE if broken else Status.OPTIMAL
            return Outcome(status, None if broken else only, note="; ".join(broken) or "nothing to decide")
        spent = self.layers.spent
        if spent.best()[0] - spent.error > self.layers.allowed:
            least = (self.total_loss if self.minimises_macs else self.expected_macs)(self.least_spending)
            note = f"no plan has less {self.spent_name} than {least:.9g}; the budget is {self.budget:.9g}"
            return Outcome(Status.INFEASIBLE, note=note)
        return None

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return both costs of a decision."""
        return f"expected MACs {self.expected_macs(decision):.6g}, loss {self.total_loss(decision):.6g}"

    def integer_program(self) -> IntegerProgram:
        """Write the plan with one choice a layer and every product of neighbouring counts linearised."""
        from pam_opt_solvers.network_plan.program import program

        return program(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays, all layers' options laid end to end."""
        size = len(self.groups)
        found: dict[str, NDArray[Any]] = {
            "groups": self.groups,
            "runs": self.runs,
            "macs": self.macs,
            "inputs": self.inputs,
            "heads": self.heads,
            "options": np.array([len(x) for x in self.loss], np.int64),
            "counts": np.concatenate([np.zeros((0, size), np.int64), *self.counts]),
            "loss": np.concatenate([np.zeros(0), *self.loss]),
        }
        extras = {"edge_loss": self.edge_loss, "loss_budget": self.loss_budget, "macs_budget": self.macs_budget}
        return found | {name: np.asarray(value) for name, value in extras.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the problem from what `arrays` returned."""
        sizes = as_counts(arrays["options"], "options", (None,))
        if not sizes.sum() == len(arrays["counts"]) == len(arrays["loss"]):
            raise ProblemError(
                f"options sum to {sizes.sum()}, but there are {len(arrays['counts'])} counts "
                f"and {len(arrays['loss'])} losses"
            )
        ends = np.cumsum(sizes)[:-1]
        split = [tuple(np.split(arrays[name], ends)) if len(sizes) else () for name in ("counts", "loss")]
        plain = [arrays[name] for name in ("groups", "runs", "macs", "inputs", "heads")]
        extras: list[Any] = [arrays.get(name) for name in ("edge_loss", "loss_budget", "macs_budget")]
        return cls(*plain, *split, *extras)  # type: ignore[arg-type]


def _two_parent_counts(layer: int, widths: Counts, loss: ArrayLike) -> Counts:
    shared = np.arange(np.size(loss))  # type: ignore[arg-type]
    if len(shared) - 1 > widths.min():
        raise ProblemError(
            f"loss[{layer}] is for up to {len(shared) - 1} pairs; parents of {widths[0]} and {widths[1]} units have "
            f"at most {widths.min()}"
        )
    return np.stack([widths[0] - shared, widths[1] - shared, shared], axis=1)
