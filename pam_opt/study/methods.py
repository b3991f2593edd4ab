"""The methods of a study: how each gets from trained parents to a system. To add one, enter it in `METHODS`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from pam_opt.measuring import Statistics
from pam_opt.merging import Weights, merge, single
from pam_opt.planning import NEED_WITHIN, plan
from pam_opt.plans import Plan
from pam_opt.study.config import MergeConfig
from pam_opt.study.system import System
from pam_opt.tasks import Task
from pam_opt.training import Batches


@dataclass(frozen=True)
class Ingredients:
    """What every method gets: the same parents, statistics and calibration data."""

    parents: Mapping[str, nn.Module]
    tasks: tuple[Task, ...]
    statistics: Statistics
    calibration: Batches
    config: MergeConfig
    combinations: Mapping[str, float] | None
    seed: int


@dataclass(frozen=True)
class Built:
    """A system before any training, how it was planned, and the seconds that took."""

    system: System
    plan: Plan | None
    seconds: dict[str, float]


@dataclass(frozen=True)
class Method:
    """Describe one method of comparison.

    Parameters
    ----------
    description : one line for tables
    problem : as in `pam_opt.plan`; None keeps the parents apart
    solver : for problems that are handed to one
    share : as in `pam_opt.plan`
    cost, target, weights : override the study's own; None does not
    informed : whether it regroups by information; the study says how, under ``merge.information``
    takes_width : whether the method can be built at a given width
    """

    description: str
    problem: str | None
    solver: str = "auto"
    share: float = 1.0
    cost: str | None = None
    target: Literal["mean", "keep"] | None = None
    weights: Weights | None = None
    informed: bool = False
    takes_width: bool = True

    @property
    def needs_within(self) -> bool:
        """Whether it needs statistics with the covariance within each parent."""
        return self.problem in NEED_WITHIN

    def build(self, given: Ingredients, width: float | None, made: Plan | None = None) -> Built:
        """Plan, unless a plan is there already, and merge; `width` as in `pam_opt.plan`."""
        if self.problem is None:
            shape = given.statistics.input_shape
            networks = tuple(single(given.parents[task.name], task, shape) for task in given.tasks)
            return Built(System(networks), None, {"measure": 0.0, "solve": 0.0, "merge": 0.0})
        made = made or plan(
            given.parents,
            given.calibration,
            tasks=given.tasks,
            statistics=given.statistics,
            cost=self.cost or given.config.cost,
            solver=self.solver,
            problem=self.problem,
            share=self.share,
            width=width,
            information=given.config.information.options() if self.informed and given.config.information else None,
            combinations=given.combinations,
            time_limit=given.config.time_limit,
            seed=given.seed,
        )
        started = time.perf_counter()
        network = merge(
            given.parents,
            made,
            weights=self.weights or given.config.weights,
            calibration=given.calibration,
            target=self.target or given.config.target,
            ridge=given.config.ridge,
            reestimate=given.config.reestimate_batch_norm,
            seed=given.seed,
        )
        return Built(System((network,)), made, {**made.seconds, "merge": time.perf_counter() - started})


METHODS: dict[str, Method] = {
    "separate": Method("parents pruned alone (PAM's baseline 1)", None, takes_width=False),
    "all-shared": Method(
        "all units serve all tasks, no pairing (baseline 2)", "all-shared", weights="side_by_side", takes_width=False
    ),
    "random": Method("random pairing", "pairing", solver="random"),
    "select": Method("most important units of all parents, no pairing", "select"),
    "greedy": Method("greedy pairing, best pair first", "pairing", solver="greedy"),
    "optimal": Method("optimal pairing, parent after parent", "pairing", solver="hungarian"),
    "half": Method("optimal pairing of half the units", "pairing", solver="hungarian", share=0.5),
    "optimal-keep": Method("optimal, the more important unit kept", "pairing", solver="hungarian", target="keep"),
    "representatives": Method("units that stand best for the others, one for each: p-median", "representatives"),
    "representatives-greedy": Method("p-median, greedy adding", "representatives", solver="greedy"),
    "columns": Method("units that explain the others best together, greedy", "columns", solver="greedy"),
    "columns-swaps": Method("units that explain the others best together, greedy and swaps", "columns", solver="swaps"),
    "network": Method(
        "optimal pairs, every layer's number chosen for all layers at once; no more loss than sharing everything",
        "network",
        cost="fisher",
        takes_width=False,
    ),
    "network-half": Method(
        "the same; no more loss than sharing half of every layer",
        "network",
        share=0.5,
        cost="fisher",
        takes_width=False,
    ),
    "multi": Method("clusters over all parents at once", "multi"),
    "multi-within": Method("optimal pairs across and within two parents", "multi-within", takes_width=False),
    "joint": Method("all layers paired at once by weights", "joint", cost="weights"),
    "joint-fisher": Method("all layers paired at once by weights and Fisher cost", "joint", cost="fisher"),
    "grouping": Method("the tasks that each unit serves, within a budget of computed units", "grouping"),
    "pam": Method(
        "PAM's greedy regrouping by information, nothing merged",
        "grouping",
        solver="pam",
        weights="side_by_side",
        informed=True,
        takes_width=False,
    ),
    "pam-pairs": Method(
        "PAM's conditions on information with optimal pairs: of two parents, groups and pairs as one problem",
        "paired-grouping",
        informed=True,
        takes_width=False,
    ),
    "pam-pairs-two-steps": Method(
        "PAM's greedy regrouping by information, then optimal pairs within the shared group",
        "paired-grouping",
        solver="pam",
        informed=True,
        takes_width=False,
    ),
    "pam-exact": Method(
        "least computed units under PAM's conditions, nothing merged; proved or with a bound",
        "grouping",
        weights="side_by_side",
        informed=True,
        takes_width=False,
    ),
    "mtz": Method(
        "MTZ: all units shared, greedy pairs of least functional difference, closed-form weights; no training between "
        "layers, for the study trains afterwards",
        "mtz",
        solver="greedy",
        weights="mtz",
        takes_width=False,
    ),
    "optimal-correlation": Method("optimal by correlation", "pairing", solver="hungarian", cost="correlation"),
}
