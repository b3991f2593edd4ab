"""Descents from one start after the other: what the methods of joint pairing with restarts have in common."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.descent import descend
from pam_opt_solvers.joint_pairing.matching import Matching
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.search import Search

Start = Callable[[int, np.random.Generator, Callable[[], bool]], list[NDArray[np.int64]]]
"""(number of the attempt, its random numbers, whether time is up) -> permutations to descend from."""


def restarted(model: Matching, problem: JointPairing, options: Options, start: Start) -> Outcome:
    """Descend from every start until the setting ``starts`` is used up, the gap is closed or time is up."""
    search = Search(problem, options.time_limit)
    search.offer(problem.join(model.start()))
    search.raise_bound(problem.trivial_bound())
    generator = np.random.default_rng(options.seed)

    def stop() -> bool:
        return search.out_of_time

    for attempt in range(int(options.settings["starts"])):
        if search.over:
            break
        search.offer(problem.join(descend(model, start(attempt, generator, stop), generator, stop)))
    return search.outcome()
