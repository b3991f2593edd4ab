"""Regrouping and pairing of one layer of two parents as a single problem, a `PairedGrouping`.

Every unit merges with one of the other parent, serves both tasks alone, serves one task, or goes. Costs are in units of
the loss. A pair costs what its merging is predicted to add. A unit alone costs its parent's task half its importance
(what losing it adds to second order) for the part of the task's readers in the next layer that may no longer read it,
less what refitted weights make up for. The other task loses nothing with a unit that it never read: what that unit
would tell about it is what the budgets are for. For each task they limit, in nats, what all units that do not serve it
tell about it together.

One more budget is in MACs. The plan of regrouping first and pairing afterwards is there, and E[C] is linear in
the numbers of units in the groups of one layer, all other layers as they are:

    E[C] = const + sum_g n_l(g) [ pi(g) k_l sum_{h contains g} n_{l-1}(h) + k_{l+1} sum_{h in g} pi(h) n_{l+1}(h) ]

with pi(g) the probability that a group runs and k_l MACs per input and output unit. So layer after layer is replaced by
one that costs no more, with the layers before as they were decided and the next one as in that plan: the result has at
most its E[C].
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pam_opt.information.responses import Responses
from pam_opt.macs import run_probability
from pam_opt.planning.clusters import unit_costs
from pam_opt.planning.exact_grouping import layer_functions, threshold
from pam_opt.planning.grouping import groups_of
from pam_opt.planning.incoming import incoming_weights
from pam_opt.planning.request import Request
from pam_opt.planning.sharing import LEFT_AFTER_REFIT
from pam_opt.plans import LayerPlan
from pam_opt.tasks import Group
from pam_opt_solvers import PairedGrouping
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget

ROUNDING = 1e-9
"""Part by which the MACs may pass those of the plan in two steps: the rounding of a sum."""


def paired_problem(
    request: Request,
    index: int,
    before: Sequence[LayerPlan],
    in_two_steps: Sequence[LayerPlan],
    informed: Responses | None,
) -> PairedGrouping:
    """Build the problem of one layer; its groups are those of `groups_of`.

    Parameters
    ----------
    before : the plans of the layers before, as decided
    in_two_steps : the plan of all layers that regroups first and pairs afterwards
    informed : the layer's responses; None for a layer that is not regrouped: all its units serve all tasks
    """
    groups, (one, two) = groups_of(request.tasks), request.tasks
    layer = request.statistics.layers[index]
    served = np.array([[task in group for task in request.tasks] for group in groups])
    after = _counts_after(request, index, in_two_steps)
    alone = _losses(request, index, groups, after)
    alone[:, _closed(groups, before, regrouped=informed is not None)] = np.inf
    macs = _unit_macs(request, index, groups, before, after)
    allowed = sum(macs[groups.index(group)] for group in in_two_steps[index].groups) * (1 + ROUNDING)
    rates = np.append(macs, macs[groups.index(request.everything)] / 2)[None, :]
    table = BudgetTable(np.ones((1, len(alone))), rates, np.array([allowed]), (f"expected MACs of {layer.name}",))
    cost = unit_costs(request.cost, layer, request.tasks, one, two, incoming_weights(request, before))
    return PairedGrouping(served, alone, cost, table, _budgets(request, informed, served))


def _counts_after(request: Request, index: int, planned: Sequence[LayerPlan]) -> Mapping[Group, int]:
    """Return the number of units of every group in the layer behind, the heads behind the last one."""
    if index + 1 < len(planned):
        return planned[index + 1].widths
    return {group: count for parent in request.parents.values() for group, count in parent.structure.widths[-1].items()}


def _unit_macs(
    request: Request, index: int, groups: Sequence[Group], before: Sequence[LayerPlan], after: Mapping[Group, int]
) -> np.ndarray:
    """Return (G,) the MACs in E[C] of one unit of every group: its own, and those of its readers on it."""
    structure = next(iter(request.parents.values())).structure
    own, read = (structure.layers[place].kernel_area * request.positions[place] for place in (index, index + 1))
    sources = before[-1].widths if before else {request.everything: structure.inputs}
    pi = {group: run_probability(group, request.probabilities) for group in {*groups, *after}}
    return np.array(
        [
            pi[group] * own * sum(count for source, count in sources.items() if group <= source)
            + read * sum(pi[reader] * count for reader, count in after.items() if reader <= group)
            for group in groups
        ]
    )


def _losses(request: Request, index: int, groups: Sequence[Group], after: Mapping[Group, int]) -> np.ndarray:
    """Return (N, G) what it adds to the loss of a unit's own task that not all of its readers may read the unit."""
    units, parts = request.statistics.layers[index].units, []
    for task in request.tasks:
        readers = {group: count for group, count in after.items() if task in group}
        heard = [sum(count for reader, count in readers.items() if reader <= group) for group in groups]
        lost = 1.0 - np.array(heard) / max(1, sum(readers.values()))
        parts.append(np.outer(LEFT_AFTER_REFIT * units[task].importance / 2, lost))
    return np.concatenate(parts)


def _closed(groups: Sequence[Group], before: Sequence[LayerPlan], *, regrouped: bool) -> list[bool]:
    """Return of every group whether no unit may be in it: it could read nothing, or the layer shares all units."""
    sources = set(before[-1].groups) if before else set(groups)
    return [
        (not regrouped and group != groups[0]) or (bool(group) and not any(group <= source for source in sources))
        for group in groups
    ]


def _budgets(request: Request, informed: Responses | None, served: np.ndarray) -> tuple[JointBudget, ...]:
    """Limit for each task what the units that do not serve it tell about it; a pair serves both."""
    if informed is None:
        return ()
    assert request.responses is not None
    assert request.information is not None
    functions = layer_functions(request.information, informed, request.responses)
    return tuple(
        JointBudget(
            np.append(~served[:, column], False),
            functions[task],
            threshold(request.information, informed, functions[task]),
            f"information on {task}",
        )
        for column, task in enumerate(request.tasks)
    )
