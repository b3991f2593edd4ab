"""Joint pairing: the permutations of all layers at once, because permuting a layer permutes the next one's inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.checks import as_count, as_float64, as_items, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.gilmore_lawler import gilmore_lawler_bound
from pam_opt_solvers.problems.joint_program import joint_program
from pam_opt_solvers.problems.layer_pair import FIXED, LayerPair
from pam_opt_solvers.problems.problem import Problem

Permutation = NDArray[np.int64]

LARGEST_SPACE = 2**24


@dataclass(frozen=True, eq=False, repr=False)
class JointPairing(Problem):
    """Pair the units of several layers of two parents one to one, at least squared distance of all weights.

    A *space* is a set of units that are permuted together: the outputs of a layer, which are the next one's
    inputs; where residual connections add layers up, one space covers all that write into the stream and all
    that read from it. A decision is (sum of sizes,) int64, the spaces' permutations laid end to end: entry
    ``i`` of a space is the second parent's unit that is paired with the first one's unit ``i``.

    Parameters
    ----------
    sizes : number of units of every space
    layers : the weights; a side names its space or is `FIXED`. The same space may be on any number of sides,
        also on both sides of one layer
    linear : per space ``None`` or (n, n) float64, finite: cost of pairing unit ``i`` with unit ``j`` whatever
        else is paired, e.g. of their activations. ``None`` = none for any space

    Raises
    ------
    ProblemError
        for a space or a shape that does not fit, NaN, infinity and magnitudes that float64 cannot square

    Notes
    -----
    With ``p_s`` the permutation of space ``s`` (the identity for a fixed side), layer weights ``A`` and ``B``
    of the parents and linear costs ``C``::

        value = sum_layers sum_ik |A[i, k] - B[p_rows[i], p_columns[k]]|^2 + sum_s sum_i C_s[i, p_s[i]]

    which is a constant less twice a sum of bilinear assignments: the weight matching of [1]_. A space on both
    sides of a layer makes a quadratic assignment.

    References
    ----------
    .. [1] S. K. Ainsworth, J. Hayase and S. Srinivasa, "Git Re-Basin: merging models modulo permutation
       symmetries", ICLR 2023, arXiv:2209.04836

    Examples
    --------
    >>> import numpy as np
    >>> from pam_opt_solvers import JointPairing, LayerPair
    >>> hidden = LayerPair(np.array([[1.0], [5.0]]), np.array([[5.0], [1.0]]), rows_space=0)
    >>> head = LayerPair(np.array([[2.0, 3.0]]), np.array([[3.0, 2.0]]), columns_space=0)
    >>> problem = JointPairing((2,), (hidden, head))
    >>> problem.value(np.array([1, 0])), problem.value(np.array([0, 1]))
    (0.0, 34.0)
    """

    kind: ClassVar[str] = "joint_pairing"
    asks: ClassVar[frozenset[Feature]] = frozenset()

    sizes: tuple[int, ...]
    layers: tuple[LayerPair, ...]
    linear: tuple[NDArray[np.float64] | None, ...] | None = None

    def __post_init__(self) -> None:
        sizes = tuple(
            as_count(size, f"sizes[{s}]", LARGEST_SPACE) for s, size in enumerate(as_items(self.sizes, "sizes"))
        )
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "layers", as_items(self.layers, "layers"))
        for index, layer in enumerate(self.layers):
            self._check_layer(layer, f"layers[{index}]")
        object.__setattr__(self, "linear", self._checked_linear())

    def _check_layer(self, layer: Any, name: str) -> None:
        if not isinstance(layer, LayerPair):
            raise ProblemError(f"{name} is {type(layer).__name__}; expected a LayerPair")
        for space, length, side in zip(layer.spaces, layer.shape, ("rows", "columns"), strict=False):
            if space >= len(self.sizes):
                raise ProblemError(f"{name} names space {space} for its {side}; there are {len(self.sizes)} spaces")
            if space != FIXED and length != self.sizes[space]:
                raise ProblemError(f"{name} has {length} {side}, but its space {space} has {self.sizes[space]} units")

    def _checked_linear(self) -> tuple[NDArray[np.float64] | None, ...]:
        given = (None,) * len(self.sizes) if self.linear is None else as_items(self.linear, "linear")
        if len(given) != len(self.sizes):
            raise ProblemError(
                f"linear holds {len(given)} entries for {len(self.sizes)} spaces; give None for a space without costs"
            )
        checked = []
        for space, (costs, size) in enumerate(zip(given, self.sizes, strict=True)):
            if costs is not None:
                costs = as_float64(costs, f"linear[{space}]", (size, size))
                extent(costs, f"linear[{space}]", allow_infinity=False)
            checked.append(costs)
        return tuple(checked)

    def __repr__(self) -> str:
        sizes = ", ".join(map(str, self.sizes[:6])) + (", ..." if len(self.sizes) > 6 else "")
        extras = ", linear costs" if any(costs is not None for costs in self.costs) else ""
        return f"JointPairing({len(self.sizes)} spaces of {sizes or 'no'} units, {len(self.layers)} layers{extras})"

    @property
    def costs(self) -> tuple[NDArray[np.float64] | None, ...]:
        """The linear costs of every space, ``None`` = none."""
        assert self.linear is not None
        return self.linear

    @cached_property
    def features(self) -> frozenset[Feature]:
        """Nothing beyond the plain form."""
        return frozenset()

    def split(self, decision: Any) -> list[Permutation]:
        """Return the permutation of every space of a decision."""
        ends = np.cumsum(np.array(self.sizes, np.int64))[:-1] if self.sizes else []
        return list(np.split(np.asarray(decision, np.int64), ends)) if self.sizes else []

    def join(self, permutations: Sequence[Permutation]) -> Permutation:
        """Return the decision of the spaces' permutations."""
        return np.concatenate([np.zeros(0, np.int64), *permutations])

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid."""
        try:
            array = np.asarray(decision)
        except ValueError:
            return ("permutations must be one flat array of integers",)
        total = sum(self.sizes)
        if array.shape != (total,) or (array.dtype.kind not in "iu" and total):
            return (f"permutations must be ({total},) integers, not {array.dtype} of shape {array.shape}",)
        found = []
        for space, part in enumerate(self.split(array)):
            wrong = np.flatnonzero(np.bincount(part[(part >= 0) & (part < len(part))], minlength=len(part)) != 1)
            if len(wrong):
                found.append(f"space {space} is no permutation: unit {wrong[0]} is not there exactly once")
        return tuple(found)

    def normalise(self, decision: Any) -> Permutation:
        """Return a valid decision as int64."""
        return np.array(decision, np.int64)

    def terms(self, decision: Any) -> NDArray[np.float64]:
        """Return the squared distance of every row of every layer, then the linear cost of every unit."""
        self.check(decision)
        permutations = self.split(decision)
        parts = [np.zeros(0)]
        for layer in self.layers:
            rows, columns = (None if space == FIXED else permutations[space] for space in layer.spaces)
            parts.append(layer.distances(rows, columns))
        for costs, permutation in zip(self.costs, permutations, strict=True):
            if costs is not None:
                parts.append(costs[np.arange(len(permutation)), permutation])
        return np.concatenate(parts)

    @cached_property
    def _bound(self) -> float:
        return gilmore_lawler_bound(self)

    def trivial_bound(self) -> float:
        """Return the bound of `gilmore_lawler_bound`."""
        return self._bound

    def settled(self) -> Outcome | None:
        """Return the identity where no space has two units."""
        if max(self.sizes, default=0) > 1:
            return None
        return Outcome(Status.OPTIMAL, np.zeros(sum(self.sizes), np.int64), note="nothing to decide")

    def certainly_feasible(self) -> bool:
        """Permutations always exist."""
        return True

    @property
    def most_terms(self) -> int:
        """One per row of a layer, one per unit with linear costs."""
        units = sum(size for size, costs in zip(self.sizes, self.costs, strict=True) if costs is not None)
        return sum(layer.shape[0] for layer in self.layers) + units

    def magnitudes(self) -> NDArray[np.float64]:
        """Return the largest squared distance that every row may pay, and the magnitudes of the linear costs."""
        parts = [np.zeros(0)]
        for layer in self.layers:
            first, second = (np.sqrt(np.square(w).sum(axis=(1, 2))) for w in (layer.first, layer.second))
            parts.append(np.square(first + second.max(initial=0.0)))
        parts += [np.abs(costs).ravel() for costs in self.costs if costs is not None]
        return np.concatenate(parts)

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return how many units of how many spaces change places."""
        moved = sum(int((part != np.arange(len(part))).sum()) for part in self.split(decision))
        return f"{moved} of {len(decision)} units in {len(self.sizes)} spaces change places"

    def integer_program(self) -> IntegerProgram:
        """Write the products of choices as variables of their own; only for tiny problems."""
        return joint_program(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return ``sizes``, ``spaces`` (layers, 2), ``first_0``, ``second_0``, ... and ``linear_0``, ... ."""
        spaces = np.array([layer.spaces for layer in self.layers], np.int64).reshape(-1, 2)
        arrays: dict[str, NDArray[Any]] = {"sizes": np.array(self.sizes, np.int64), "spaces": spaces}
        for index, layer in enumerate(self.layers):
            arrays |= {f"first_{index}": layer.first, f"second_{index}": layer.second}
        return arrays | {f"linear_{space}": costs for space, costs in enumerate(self.costs) if costs is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the problem from `arrays`; absent linear costs are none."""
        sizes, spaces = np.asarray(arrays["sizes"]), np.asarray(arrays["spaces"])
        if (
            sizes.ndim != 1
            or spaces.ndim != 2
            or spaces.shape[1] != 2
            or {sizes.dtype.kind, spaces.dtype.kind} - set("iu")
        ):
            raise ProblemError(
                f"sizes must be (spaces,) and spaces (layers, 2) integers, not {sizes.shape}, {spaces.shape}"
            )
        layers = []
        for index, (rows, columns) in enumerate(spaces.tolist()):
            try:
                layers.append(LayerPair(arrays[f"first_{index}"], arrays[f"second_{index}"], rows, columns))
            except ProblemError as err:
                raise ProblemError(f"layers[{index}]: {err}") from err
        linear = tuple(arrays.get(f"linear_{space}") for space in range(len(sizes)))
        return cls(tuple(sizes.tolist()), tuple(layers), linear)
