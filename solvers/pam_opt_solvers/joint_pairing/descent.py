"""One descent by coordinates: the best assignment of a space, all others given, until none gains."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.joint_pairing.matching import TOLERANCE, Matching, best_assignment

Permutation = NDArray[np.int64]


def descend(
    matching: Matching,
    permutations: list[Permutation],
    generator: np.random.Generator,
    stop: Callable[[], bool],
) -> list[Permutation]:
    """Return permutations that no single space's assignment improves, never worse than the given ones.

    Parameters
    ----------
    matching : the problem
    permutations : of every space
    generator : for the order of the spaces
    stop : whether time is up, asked before every step
    """
    current, waiting = list(permutations), set(range(len(permutations)))
    while waiting and not stop():
        for space in generator.permutation(sorted(waiting)):
            waiting.discard(int(space))
            if stop():
                break
            better = _improved(matching, int(space), current)
            if better is not None:
                current[space] = better
                # Spaces that share no layer with this one see no change.
                waiting |= {side.other for side in matching.sides[space] if side.other >= 0}
    return current


def _improved(matching: Matching, space: int, permutations: list[Permutation]) -> Permutation | None:
    """Return a better permutation of one space; ``None`` = its assignment gains nothing."""
    worth, before = matching.worth(space, permutations), permutations[space]
    found = best_assignment(worth)
    if space in matching.quadratic:
        trial = [found if s == space else permutation for s, permutation in enumerate(permutations)]
        gain = matching.score_of(space, trial) - matching.score_of(space, permutations)
    else:
        units = np.arange(len(found))
        gain = float((worth[units, found] - worth[units, before]).sum())
    return found if gain > TOLERANCE * matching.scale[space] else None
