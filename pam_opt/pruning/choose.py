"""Choose which units go: least score per cost saved first, down to an expected cost or by a number of units."""

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pam_opt.cost_models import ExpectedCost
from pam_opt.gradients import Place
from pam_opt.structure import INPUT, Structure


def choose_units(
    structure: Structure,
    cost: ExpectedCost,
    scores: Mapping[Place, Tensor],
    target: float,
    most: int | None = None,
    *,
    per_cost: bool = True,
    closed: Mapping[Place, Tensor] | None = None,
) -> dict[Place, Tensor]:
    """Mark the units to keep so that the expected cost comes down to `target`.

    Units go in the order of score / (expected cost that their loss saves now); those that save nothing go last. What a
    loss saves changes as its neighbours go, so every candidate's ratio is looked at again before it goes. MACs saved
    only shrink, so that the least ratio known is enough to go by; otherwise all are looked at after each loss.

    Parameters
    ----------
    cost : of the structure, such as `pam_opt.cost_models.ExpectedMacs`
    scores : place, a space and a group, -> (units,); units of places left out stay, those of an infinite score, and
        those of layers that are kept per task. A unit goes from all layers that write its space
    target : expected cost at which to stop
    most : units that may go at most; None = any number
    per_cost : False takes units in the order of their scores alone
    closed : place -> (units,) bool, units that go first, whatever `target` and `most` say

    Returns
    -------
    keep : place -> (units,) bool. At least one unit stays that each group of every reader can read; if that
        stops the choice short of `target`, all that may go have gone.
    """
    state, scores = _State(structure, cost), may_go(structure, scores)
    if closed is not None:
        scores = {place: _first(score, closed.get(place)) for place, score in scores.items()}
    queues = {place: torch.argsort(score).tolist() for place, score in scores.items()}
    keep = {place: torch.ones(len(score), dtype=torch.bool) for place, score in scores.items()}
    heap = [(0.0, place[0], sorted(place[1]), place) for place in queues]
    heapq.heapify(heap)
    held = []  # by a reader that has no other unit to read, until that reader goes
    gone = 0
    while heap:
        entry = heapq.heappop(heap)
        looked_at, *_, place = entry
        if scores[place][queues[place][0]] >= 0 and (state.expected <= target or gone == most):
            continue
        if not state.may_lose(place):
            held.append(entry)
            continue
        unit = queues[place][0]
        ratio = float(scores[place][unit]) / (max(state.saved(place), 1e-300) if per_cost else 1.0)
        if ratio == math.inf:
            continue
        if ratio > looked_at:
            heapq.heappush(heap, (ratio, place[0], sorted(place[1]), place))
            continue
        queues[place].pop(0)
        keep[place][unit] = False
        state.lose(place)
        gone += int(scores[place][unit] >= 0)
        if queues[place]:
            held.append((0.0, place[0], sorted(place[1]), place))
        if not cost.of_products:
            held, heap = held + [(0.0, *waiting) for _, *waiting in heap], []
        while held:
            heapq.heappush(heap, held.pop())
    return keep


def may_go(structure: Structure, scores: Mapping[Place, Tensor]) -> dict[Place, Tensor]:
    """Return the scores without those of layers that are kept per task, which lose nothing."""
    kept = {layer.ties for layer in structure.layers if layer.kept}
    return {place: score for place, score in scores.items() if place[0] not in kept}


def _first(score: Tensor, closed: Tensor | None) -> Tensor:
    """Give closed units negative scores, in their own order."""
    return score if closed is None else torch.where(closed, -1 / (1 + score), score)


class _State:
    """Widths under way, with what they cost and what one unit of each place saves."""

    def __init__(self, structure: Structure, cost: ExpectedCost) -> None:
        self.structure, self.cost = structure, cost
        self.widths = [Counter(widths) for widths in structure.widths]
        self.expected = cost.expected(structure)
        self.savings: dict[Place, float] | None = None
        mixing = [index for index, layer in enumerate(structure.layers) if layer.is_dense]
        self.readers = {space: [i for i in mixing if space in self._read(i)] for space in structure.spaces}

    def saved(self, place: Place) -> float:
        if self.savings is None:
            self.savings = self.cost.unit_savings(self._now())
        return self.savings[place]

    def may_lose(self, place: Place) -> bool:
        """Whether every group of every layer that mixes units of the space keeps a unit to read."""
        space, group = place
        if self.widths[space][group] == 0:
            return False
        self.widths[space][group] -= 1
        possible = all(self._can_run(reader) for reader in self.readers[space])
        self.widths[space][group] += 1
        return possible

    def lose(self, place: Place) -> None:
        space, group = place
        self.expected -= self.saved(place)
        for index in self.structure.tied(space):
            self.widths[index][group] -= 1
        self.savings = None
        if not self.cost.of_products and not self.widths[space][group]:
            self.expected = self.cost.expected(self._now())

    def _now(self) -> Structure:
        widths = tuple({group: n for group, n in layer.items() if n} for layer in self.widths)
        return replace(self.structure, widths=widths)

    def _can_run(self, reader: int) -> bool:
        layer = self.structure.layers[reader]
        if INPUT in layer.inputs:
            return True
        sources = {group for space in self._read(reader) for group, n in self.widths[space].items() if n}
        groups = [group for group, n in self.widths[layer.ties].items() if n]
        return all(any(group <= source for source in sources) for group in groups)

    def _read(self, reader: int) -> list[int]:
        """List the spaces that a layer reads, but for the network's input."""
        layers = self.structure.layers
        return [layers[source].ties for source in layers[reader].inputs if source != INPUT]
