"""Representatives by chance: a control that ignores all costs but those between a unit and the kept ones."""

from typing import ClassVar

import numpy as np

from pam_opt_solvers import Feature, Options, Outcome, Representatives, Solver, Status


class Random(Solver[int]):
    """Keep units drawn without replacement; the nearest of them stands for each other one."""

    name = "toy_random"
    exact = False
    takes = frozenset({"representatives"})
    features: ClassVar[frozenset[Feature]] = frozenset()
    description = "toy; keeps units at random"

    def _build(self, problem: Representatives, options: Options) -> int:
        return problem.n_kept

    def _run(self, model: int, problem: Representatives, options: Options) -> Outcome:
        kept = np.random.default_rng(options.seed).permutation(problem.size)[:model]
        decision = kept[problem.cost[:, kept].argmin(axis=1)]
        decision[kept] = kept
        return Outcome(Status.FEASIBLE, decision)
