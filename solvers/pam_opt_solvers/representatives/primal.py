"""Decisions from kept units: within all quotas, assigned as well as can be, and only valid ones offered."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.adding import greedy_adding
from pam_opt_solvers.representatives.assignment import represent
from pam_opt_solvers.representatives.interchange import State, interchange
from pam_opt_solvers.representatives.scaled import Scaled
from pam_opt_solvers.representatives.selection import any_selection
from pam_opt_solvers.search import Search

Indices = NDArray[np.int64]


def repaired(problem: Representatives, kept: Indices) -> Indices | None:
    """Return the kept units, or the closest set within count and quotas; ``None`` = there is none."""
    fits = len(kept) == problem.n_kept or (problem.at_most and 0 < len(kept) < problem.n_kept)
    if fits and not any(quota.violations(kept) for quota in problem.quotas):
        return kept
    weights = np.zeros(problem.size)
    weights[kept] = -1.0
    return any_selection(problem, weights)


def offer(search: Search, problem: Representatives, kept: Indices) -> bool:
    """Offer the best decision of these kept units, if they have a valid one; say whether there was one."""
    found = represent(problem, kept)
    if found is None or problem.violations(found):
        return False
    search.offer(found)
    return True


def added(search: Search, scaled: Scaled) -> Indices | None:
    """Keep units by greedy adding and offer them; ``None`` = no set of units meets the quotas."""
    kept = repaired(scaled.problem, greedy_adding(scaled, lambda: search.out_of_time))
    if kept is not None:
        offer(search, scaled.problem, kept)
    return kept


def improved(search: Search, scaled: Scaled, kept: Indices) -> State:
    """Improve kept units by interchange and offer them."""
    state = interchange(scaled, kept, lambda: search.out_of_time)
    offer(search, scaled.problem, state.kept)
    return state
