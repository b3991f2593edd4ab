"""Lagrangian relaxation of a small joint pairing: a bound that closes on most planted instances.

The dual of `product_dual` is climbed at falling temperatures. Its reduced costs propose a decision at every
step, which coordinate descent improves; the first one comes from Frank-Wolfe. Proofs of optimality are
common to widths of about 30, where integer programming ends at about 8.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.descent import descend
from pam_opt_solvers.joint_pairing.frank_wolfe import TEMPERATURE, climb
from pam_opt_solvers.joint_pairing.matching import Matching, best_assignment
from pam_opt_solvers.joint_pairing.product_dual import ProductDual
from pam_opt_solvers.joint_pairing.starts import random_start, soft_start
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.gilmore_lawler import pair_costs
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.problems.joint_program import products
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

MOST_PRODUCTS = 4_000_000
"""About 130 MB, and a fifth of a second for a family of rows."""

STEPS = 30
HOTTEST, COLDEST, COOLING = 0.3, 0.002, 0.78
"""First and last temperature, in mean deviations of the products' costs, and the ratio from step to step."""

BETWEEN_BOUNDS = 5
"""Rounds of the dual's climb at one temperature; then the bound is evaluated."""

Permutation = NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """The problem as the heuristics see it, and the dual."""

    matching: Matching
    dual: ProductDual


class Lagrangian(Solver[Model]):
    """Relax the ties between choices and their products; anytime, with a bound at every step."""

    name = "lagrangian"
    backend = "scipy"
    module = "scipy.optimize"
    takes = frozenset({"joint_pairing"})
    exact = False
    description = "bound and heuristic for small problems; mostly proves planted permutations optimal"
    stops_itself = True

    def _build(self, problem: JointPairing, options: Options) -> Model:
        addends = 8 + sum(layer.shape[2] + sum(layer.shape[:2]) for layer in problem.layers)
        return Model(Matching(problem), ProductDual(products(problem, MOST_PRODUCTS), addends))

    def _run(self, model: Model, problem: JointPairing, options: Options) -> Outcome:
        search, generator = Search(problem, options.time_limit), np.random.default_rng(options.seed)

        def stop() -> bool:
            return search.out_of_time

        def offer(permutations: list[Permutation]) -> None:
            search.offer(problem.join(descend(model.matching, permutations, generator, stop)))

        search.offer(problem.join(model.matching.start()))
        search.raise_bound(problem.trivial_bound())
        offer(climb(model.matching, soft_start(pair_costs(problem), TEMPERATURE), stop))
        for temperature in _temperatures(model.dual.scale):
            if search.over:
                break
            for _ in range(BETWEEN_BOUNDS):
                model.dual.climb(temperature, stop)
            if not search.out_of_time:
                bound, reduced = model.dual.bound()
                search.raise_bound(bound)
                offer([best_assignment(-matrix) for matrix in reduced])
                offer(random_start(problem.sizes, generator))
        return search.outcome()


def _temperatures(scale: float) -> list[float]:
    """Return the temperatures of the dual's climb; none where all products cost the same."""
    return [scale * max(COLDEST, HOTTEST * COOLING**step) for step in range(STEPS)] if scale > 0 else []
