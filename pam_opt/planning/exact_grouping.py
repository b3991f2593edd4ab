"""Plan by regrouping at least cost: PAM's conditions as an optimisation problem, solved exactly or with a bound.

PAM's greedy rule (`pam_opt.planning.pam`) grows one set of uninformative units per task and reads the groups off them.
Here the same conditions are constraints [1]_, layer by layer, with its groups: none, each task alone, all tasks.

    min sum_u pi(g_u)    such that, for every task j,    I(units whose group lacks j; Y_j) <= alpha_j

pi(g) is the probability that a group is computed, so that the value is the number of units that are computed on the
average. PAM's decision is one of this problem's, and the record holds its value beside the optimum.

``kde`` may fall when units are added, though true information cannot. An optimum is then proved for sets that
keep their threshold in every part; see `pam_opt_solvers.problems.set_functions`. ``gaussian`` never falls.

.. [1] He, Gao, Zhou, Tong, Thiele, Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt.errors import PlanError
from pam_opt.information.labels import Labels
from pam_opt.information.options import Information
from pam_opt.information.responses import Collected, Responses
from pam_opt.macs import run_probability
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.pam import regroup_layers, sample_notes
from pam_opt.planning.request import Request
from pam_opt.tasks import Group, combination_key
from pam_opt_solvers import Grouping, Solution, solve
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.kernel_information import KernelInformation
from pam_opt_solvers.problems.set_functions import SetFunction

SECONDS = 60.0
"""Time limit of a layer where none is given."""

Floats = NDArray[np.float64]

FUNCTIONS: dict[str, Callable[[Floats, Floats, float], SetFunction]] = {
    "kde": KernelInformation,
    "gaussian": GaussianInformation.of_samples,
}
"""Estimator to the set function of the solvers that is the same."""


def plan_exact_grouping(request: Request) -> LayersAndRecords:
    """Regroup the units of the layers that `Request.information` names at least cost.

    `solver` is any of ``grouping`` that takes joint budgets; ``auto`` proves the optimum within the time limit or
    gives a bound.

    Raises
    ------
    PlanError : what `plan_pam` refuses; an estimator that is no function of the solvers; a solver without a decision
    """
    return regroup_layers(request, _regroup)


def layer_functions(options: Information, responses: Responses, collected: Collected) -> dict[str, SetFunction]:
    """Return the information of the layer's sets of units on every task.

    Raises
    ------
    PlanError : an estimator that is none of `FUNCTIONS`, or needs pooled maps
    """
    make = FUNCTIONS.get(options.estimator)
    if make is None:
        raise PlanError(
            f"information: estimator={options.estimator!r} is for solver='pam' only; the optimisation problem takes "
            f"{' or '.join(sorted(FUNCTIONS))}"
        )
    values = responses.values.double().cpu().numpy()
    if options.estimator != "kde" and values.ndim > 2:
        raise PlanError(
            f"layer {responses.name!r}: estimator={options.estimator!r} takes one value a unit; use pooling='max' or "
            "'mean', or estimator='kde'"
        )
    return {task: make(values, _codes(labels), options.noise) for task, labels in collected.labels.items()}


def layer_problem(
    request: Request, options: Information, responses: Responses, functions: dict[str, SetFunction]
) -> Grouping:
    """Build the problem of one layer; its groups are those of `pam_groups`."""
    groups = pam_groups(request.tasks)
    served = np.array([[task in group for task in request.tasks] for group in groups])
    rates = [run_probability(group, request.probabilities) for group in groups]
    budgets = []
    for column, task in enumerate(request.tasks):
        own = functions[task]
        limit = threshold(options, responses, own)
        budgets.append(JointBudget(~served[:, column], own, limit, f"information on {task}"))
    return Grouping(served, np.tile(rates, (len(responses.owner), 1)), None, tuple(budgets))


def pam_groups(tasks: tuple[str, ...]) -> list[Group]:
    """List the groups of PAM: all tasks, each alone, none."""
    return [frozenset(tasks), *(frozenset({task}) for task in tasks), frozenset()]


def _codes(labels: Labels) -> Floats:
    """Return (B, L) class numbers, NaN where a label is missing."""
    values = labels.values.double().cpu().numpy()
    return values if values.ndim == 2 else np.where(values < 0, np.nan, values)[:, None]


def threshold(options: Information, responses: Responses, function: SetFunction) -> float:
    """Return the threshold of a layer in nats for the task of a function."""
    alpha = options.threshold(responses.name, responses.kind)
    if alpha is not None:
        return alpha
    assert options.part is not None
    return options.part * function.value(np.arange(function.size))


def _regroup(
    request: Request, options: Information, responses: Responses, collected: Collected
) -> tuple[list[Group], dict[str, Any]]:
    """Decide the groups of one layer, and write down what ran."""
    started = time.perf_counter()
    problem = layer_problem(request, options, responses, layer_functions(options, responses, collected))
    limit = SECONDS if request.time_limit is None else request.time_limit
    solution = solve(problem, request.solver, time_limit=limit, seed=request.seed, threads=request.threads)
    if solution.decision is None:
        raise PlanError(
            f"layer {responses.name!r}: solver {solution.run.solver!r} found no groups: {solution.status.value} "
            f"{solution.run.note}".rstrip()
        )
    every = pam_groups(request.tasks)
    groups = [every[choice] for choice in solution.decision]
    record = _record(problem, solution, groups, options, responses, collected)
    return groups, record | {"seconds": time.perf_counter() - started}


def _record(
    problem: Grouping,
    solution: Solution,
    groups: list[Group],
    options: Information,
    responses: Responses,
    collected: Collected,
) -> dict[str, Any]:
    """Write down what ran as plain data."""
    assert solution.decision is not None
    members = {
        task: problem.members(solution.decision, budget.groups)
        for task, budget in zip(collected.labels, problem.joint, strict=True)
    }
    budgets = dict(zip(collected.labels, problem.joint, strict=True))
    return {
        "layer": responses.name,
        "solver": solution.run.solver,
        "backend": f"{solution.run.backend} {solution.run.version}".strip(),
        "note": "; ".join(filter(None, [solution.run.note, *sample_notes(len(groups), collected)])),
        "status": solution.status.name,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "stepwise": False,
        "pam_value": solve(problem, "greedy").value,
        "estimator": options.estimator,
        "samples": collected.samples,
        "alpha": {task: budget.limit for task, budget in budgets.items()},
        "information": {task: budget.function.value(members[task]) for task, budget in budgets.items()},
        "members": {task: len(members[task]) for task in members},
        "units": {combination_key(group): groups.count(group) for group in dict.fromkeys(groups) if group},
        "dropped": groups.count(frozenset()),
    }
