"""Plans without any pairing: the controls that a study of pairing is compared with."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pam_opt.planning.clusters import Clusters
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, own_groups
from pam_opt.tasks import Group

LayersAndRecords = tuple[list[LayerPlan], list[dict[str, Any]]]


def plan_exclusive(request: Request) -> LayersAndRecords:
    """Keep every parent's units to itself: nothing merges, nothing changes."""
    return [_finish(request, index, _pool(request, index), None) for index in _layers(request)], []


def plan_all_shared(request: Request) -> LayersAndRecords:
    """Let every unit of every parent serve all tasks, without pairing: PAM's baseline 2."""
    return [_finish(request, index, _pool(request, index), request.everything) for index in _layers(request)], []


def plan_select(request: Request) -> LayersAndRecords:
    """Keep the most important units of all parents for all tasks, without pairing; the width defaults to one parent's.

    The control without which pairing looks better than it is.
    """
    layers = []
    for index in _layers(request):
        pool = _pool(request, index)
        count = request.kept(index) or max(request.units(index))
        kept = most_important(pool, count, each_parent=False)
        layers.append(_finish(request, index, kept, request.everything))
    return layers, []


def most_important(clusters: Clusters, count: int | None, *, each_parent: bool) -> Clusters:
    """Keep the `count` clusters whose members' Taylor importance sums highest; None keeps all.

    With `each_parent` the most important cluster of every parent is among them, even if that makes a few more:
    where a unit serves its own parent's task only, each task needs one to be run at all.
    """
    if count is None or count >= len(clusters.members):
        return clusters
    order = np.argsort(-clusters.total("importance"), kind="stable")
    first = {int(order[clusters.members[order, column] >= 0][0]) for column in _present(clusters) if each_parent}
    rest = [unit for unit in order if unit not in first]
    kept = [*first, *rest[: max(0, count - len(first))]]
    return Clusters(clusters.layer, clusters.tasks, clusters.members[np.sort(kept)])


def _present(clusters: Clusters) -> np.ndarray:
    """Columns of the parents that have a unit here."""
    return np.flatnonzero((clusters.members >= 0).any(axis=0))


def _layers(request: Request) -> range:
    return range(len(request.statistics.layers))


def _pool(request: Request, index: int) -> Clusters:
    """Collect all parents' units, each for itself."""
    layer = request.statistics.layers[index]
    pools = [Clusters.of_parent(layer, request.tasks, task).members for task in request.tasks]
    return Clusters(layer, request.tasks, np.concatenate(pools))


def _finish(request: Request, index: int, clusters: Clusters, group: Group | None) -> LayerPlan:
    kept = most_important(clusters, request.kept(index), each_parent=group is None)
    groups = [group] * len(kept.members) if group else own_groups(kept.members, request.tasks)
    return kept.plan(groups)


CONTROLS: Mapping[str, Any] = {
    "exclusive": plan_exclusive,
    "all-shared": plan_all_shared,
    "select": plan_select,
}
