"""Exact pairing by dynamic programming over sets of columns [1]: for a dozen columns at most.

[1] M. Held and R. M. Karp, "A dynamic programming approach to sequencing problems", J. SIAM 10(1), 1962,
    doi:10.1137/0110015.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers import Feature, Options, Outcome, Pairing, Solver, Status

Least = dict[int, tuple[float, tuple[tuple[int, int], ...]]]
"""Set of used columns, as bits, to the least weight of pairs that use them, and these pairs."""


class Subsets(Solver[NDArray[np.float64]]):
    """Extend the best pairs of every set of columns, row by row."""

    name = "toy_subsets"
    exact = True
    features: ClassVar[frozenset[Feature]] = frozenset(
        {Feature.OPT_OUT, Feature.FIXED_COUNT, Feature.FORBIDDEN, Feature.RECTANGULAR}
    )
    description = "toy; exact by dynamic programming over sets of columns"

    def _build(self, problem: Pairing, options: Options) -> NDArray[np.float64]:
        return problem.weights

    def _run(self, model: NDArray[np.float64], problem: Pairing, options: Options) -> Outcome:
        least: Least = {0: (0.0, ())}
        for row, weights in enumerate(model.tolist()):
            least = _with_row(least, row, weights)
        ends = [end for used, end in least.items() if problem.required in (None, used.bit_count())]
        if not ends:
            return Outcome(Status.INFEASIBLE)
        return Outcome(Status.OPTIMAL, np.array(min(ends)[1], np.int64).reshape(-1, 2))


def _with_row(least: Least, row: int, weights: list[float]) -> Least:
    after = dict(least)
    for used, (total, pairs) in least.items():
        for column, weight in enumerate(weights):
            found, bits = total + weight, used | 1 << column
            if not used >> column & 1 and weight < np.inf and found < after.get(bits, (np.inf,))[0]:
                after[bits] = found, (*pairs, (row, column))
    return after
