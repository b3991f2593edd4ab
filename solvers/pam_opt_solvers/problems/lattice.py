"""The lattice of groups: which group reads which, and how probable it is that a group is computed."""

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_array, as_count, as_float64, extent

MOST_TASKS = 12
"""Most tasks whose 2^K - 1 combinations are listed."""


def all_groups(n_tasks: int) -> NDArray[np.bool_]:
    """Return every non-empty set of tasks, (2^K - 1, K) bool, small ones first: {0}, {1}, ..., {0, 1}, ...

    Raises
    ------
    ProblemError
        for less than one task or more than 12

    Examples
    --------
    >>> all_groups(2).astype(int).tolist()
    [[1, 0], [0, 1], [1, 1]]
    """
    count = as_count(n_tasks, "n_tasks", MOST_TASKS)
    if count == 0:
        raise ProblemError("n_tasks is 0; it must be at least 1")
    sets = [chosen for size in range(1, count + 1) for chosen in itertools.combinations(range(count), size)]
    return np.array([[task in chosen for task in range(count)] for chosen in sets])


def run_probabilities(groups: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return ``pi(g) = sum of p(T) over the combinations T that meet g``, (G,) float64.

    Parameters
    ----------
    groups : (G, K) bool, tasks of every group
    weights : (2^K - 1,) float64 >= 0, of the combinations in the order of `all_groups`; p is in proportion to them.
        Default: all alike

    Raises
    ------
    ProblemError
        for weights that are negative, not finite, all zero or too few

    Examples
    --------
    >>> run_probabilities(all_groups(2), [1, 1, 2]).tolist()
    [0.75, 0.75, 1.0]
    """
    members = as_groups(groups)
    combinations = all_groups(members.shape[1])
    given = np.ones(len(combinations)) if weights is None else as_float64(weights, "weights", (len(combinations),))
    low, high = extent(given, "weights", allow_infinity=False)
    if low < 0 or high == 0:
        raise ProblemError("weights of combinations must be at least 0, and one above 0")
    shares = given / high
    return np.minimum(1.0, (members.astype(np.int64) @ combinations.T > 0) @ (shares / shares.sum()))


def readable(groups: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (G, G) bool: whether a unit of the first group may read one of the second, which must contain it."""
    return np.asarray((~groups[:, None, :] | groups[None, :, :]).all(axis=2))


def as_groups(groups: ArrayLike) -> NDArray[np.bool_]:
    """Return groups as a read-only (G, K) bool array, or say what is wrong."""
    array = as_array(groups, "groups")
    if array.ndim != 2 or not array.size or array.dtype.kind not in "biu" or not np.isin(array, (0, 1)).all():
        raise ProblemError(f"groups must be (groups, tasks) of 0 and 1, not {array.dtype} of shape {array.shape}")
    members = array.astype(np.bool_)
    if len(np.unique(members, axis=0)) < len(members):
        raise ProblemError("groups holds the same set of tasks twice")
    members.flags.writeable = False
    return members
