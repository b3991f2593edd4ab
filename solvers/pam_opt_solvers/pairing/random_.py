"""Random pairing: the control that shows what choosing pairs by their cost is worth."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.greedy import greedy_pairs
from pam_opt_solvers.pairing.hungarian import Hungarian
from pam_opt_solvers.problems import Feature, Pairing
from pam_opt_solvers.problems.pairing import PLAIN
from pam_opt_solvers.solver import Solver


class Random(Solver[np.random.Generator]):
    """Draw permitted pairs at random by the seed, blind to their cost.

    Without forbidden pairs every matching of the required size is equally likely. With them, pairs are drawn
    one by one, and where a count must be met, as the best assignment under random costs, which always finds
    one if there is one. With opt-outs as many pairs as possible are drawn, and those that cost more than
    staying single are left single.
    """

    name = "random"
    backend = "scipy"
    module = "scipy.optimize"
    exact = False
    features = PLAIN
    description = "control; random permitted pairs, by the seed"

    def _build(self, problem: Pairing, options: Options) -> np.random.Generator:
        return np.random.default_rng(options.seed)

    def _run(self, model: np.random.Generator, problem: Pairing, options: Options) -> Outcome:
        if Feature.FORBIDDEN not in problem.features:
            return Outcome(Status.FEASIBLE, _worthwhile(problem, _any_pairs(problem, model)))
        keys = np.where(problem.cost < np.inf, model.random(problem.shape), np.inf)
        if problem.required is None:
            return Outcome(Status.FEASIBLE, _worthwhile(problem, greedy_pairs(keys, np.inf)))
        drawn = Hungarian().compute(Pairing(keys, n_pairs=problem.required), Options())
        return Outcome(Status.INFEASIBLE if drawn.decision is None else Status.FEASIBLE, drawn.decision)

    def worst_seconds(self, problem: Pairing) -> float:
        """Return the time of the assignment that forbidden pairs may need."""
        return Hungarian().worst_seconds(problem) + 1e-6 * problem.cost.size


def _any_pairs(problem: Pairing, generator: np.random.Generator) -> NDArray[np.int64]:
    sides = [generator.permutation(length)[: problem.most_pairs] for length in problem.shape]
    return np.column_stack(sides)


def _worthwhile(problem: Pairing, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    return pairs[problem.weights[pairs[:, 0], pairs[:, 1]] < problem.ceiling]
