"""Local search on a plan: one layer moves, or two layers trade, and the budget still holds."""

import itertools
from collections.abc import Callable

import numpy as np

from pam_opt_solvers.network_plan.chain import Indices, Vector
from pam_opt_solvers.network_plan.costs import Layers


def improved(layers: Layers, path: Indices, over: Callable[[], bool]) -> Indices:
    """Return a path that no move of one layer, and no move of two that are not neighbours, makes better.

    Parameters
    ----------
    path : (L,) int64 within the budget
    over : whether to stop early
    """
    moved = True
    while moved and not over():
        moved = False
        sets = [(layer,) for layer in range(len(path))]
        sets += [(a, b) for a, b in itertools.combinations(range(len(path)), 2) if b > a + 1]
        for chosen in sets:
            better = _best_move(layers, path, chosen)
            if better is not None:
                path, moved = better, True
            if over():
                break
    return path


def _best_move(layers: Layers, path: Indices, chosen: tuple[int, ...]) -> Indices | None:
    """Return the path with the best options of one layer, or of two that are not neighbours; None if as it is."""
    changes = [_changes(layers, path, layer) for layer in chosen]
    room = layers.allowed - layers.spent.cost(path)
    options = _best_one(*changes[0], room) if len(chosen) == 1 else _best_two(changes[0], changes[1], room)
    if options is None:
        return None
    better = path.copy()
    better[list(chosen)] = options
    # Differences of sums round; what they promise is checked on the whole path.
    gained = layers.objective.cost(path) - layers.objective.cost(better)
    return better if gained > 0 and layers.spent.cost(better) <= layers.allowed else None


def _changes(layers: Layers, path: Indices, layer: int) -> tuple[Vector, Vector]:
    objective, spent = (chain.around(path, layer) for chain in (layers.objective, layers.spent))
    return objective - objective[path[layer]], spent - spent[path[layer]]


def _best_one(objective: Vector, spent: Vector, room: float) -> list[int] | None:
    best = int(np.where(spent <= room, objective, np.inf).argmin())
    return [best] if objective[best] < 0 and spent[best] <= room else None


def _best_two(first: tuple[Vector, Vector], second: tuple[Vector, Vector], room: float) -> list[int] | None:
    """Return the two options of least sum: for every first one the best second among those that leave room."""
    order = np.argsort(second[1], kind="stable")
    least = np.minimum.accumulate(second[0][order])
    fitting = np.searchsorted(second[1][order], room - first[1], side="right")
    sums = np.where(fitting > 0, first[0] + least[np.maximum(fitting, 1) - 1], np.inf)
    one = int(sums.argmin())
    if not sums[one] < 0:
        return None
    return [one, int(order[int(second[0][order[: fitting[one]]].argmin())])]
