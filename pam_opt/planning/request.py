"""What a plan is asked for: parents, statistics and options, in one place for all planners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pam_opt.cost_models import CostModel, ExpectedCost, expected_cost
from pam_opt.information.options import Information
from pam_opt.information.responses import Collected
from pam_opt.latency import Profile
from pam_opt.macs import output_positions, unit_macs
from pam_opt.measuring import Statistics
from pam_opt.network import MultitaskNetwork
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer, Structure
from pam_opt.tasks import Group
from pam_opt.training import Batches


@dataclass(frozen=True)
class Request:
    """Hold everything a planner may use; see `pam_opt.plan` for the options.

    A plan has one layer plan for each of the structure's `spaces`; an `index` is a position among these.

    Parameters
    ----------
    parents : task -> network of one task, in the order of the tasks
    statistics : without layers where the planner reads none of them
    shares : layer name -> fraction of the possible pairs that merge, or of the kept units that are shared
    width : units kept per layer as a fraction of the widest parent's; None keeps all
    information, responses : what is asked of information, and what it is estimated from; None where it is not asked
    cost_model, profile : what a pair saves is counted in, see `pam_opt.cost_models`
    chosen : why this problem was chosen where the user named none; goes into the records
    calibration : batches, for the planners that need more than the statistics
    """

    parents: Mapping[str, MultitaskNetwork]
    statistics: Statistics
    probabilities: Mapping[Group, float]
    cost: str = "fisher"
    solver: str = "auto"
    shares: Mapping[str, float] = field(default_factory=dict)
    loss_budget: float | None = None
    macs_budget: float | None = None
    width: float | None = None
    time_limit: float | None = None
    seed: int = 0
    threads: int = 1
    cost_model: CostModel = "macs"
    profile: Profile | None = None
    chosen: str = ""
    calibration: Batches | None = None
    information: Information | None = None
    responses: Collected | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Task names in order."""
        return tuple(self.parents)

    @property
    def everything(self) -> Group:
        """The group of all tasks."""
        return frozenset(self.parents)

    @property
    def structure(self) -> Structure:
        """The structure of the first parent: that of all, but for widths and names."""
        return next(iter(self.parents.values())).structure

    def layer(self, index: int) -> Layer:
        """Return the first layer of a space."""
        return self.structure.layers[self.structure.spaces[index]]

    def kept_per_task(self, index: int) -> str:
        """Say why the units of a space serve their own task only; empty where they may be shared."""
        return kept_reason(self.structure, self.structure.spaces[index])

    @property
    def asks_for_share(self) -> bool:
        """Whether less than all is to be shared where units may be shared."""
        return any(
            self.shares.get(self.layer(index).name, 1.0) != 1.0
            for index in range(len(self.structure.spaces))
            if not self.kept_per_task(index)
        )

    def units(self, index: int) -> list[int]:
        """Count the units of every parent in a space."""
        return [
            parent.structure.widths[parent.structure.spaces[index]][frozenset({task})]
            for task, parent in self.parents.items()
        ]

    def exclusive(self, index: int) -> LayerPlan:
        """Return the plan of a space in which every task keeps all its own units."""
        counts = self.units(index)
        groups = [frozenset({task}) for task, count in zip(self.tasks, counts, strict=True) for _ in range(count)]
        return LayerPlan.of_groups(self.layer(index).name, groups, counts)

    def share(self, index: int) -> float:
        """Return the share that is asked of a space."""
        return self.shares[self.layer(index).name]

    def position(self, layer: int) -> int:
        """Return the position of the space that a layer of the structure writes."""
        return self.structure.spaces.index(self.structure.layers[layer].ties)

    def decided(self, index: int, planned: Sequence[LayerPlan]) -> LayerPlan:
        """Return the plan of a space that is planned; where units are kept per task, all are."""
        return self.exclusive(index) if self.kept_per_task(index) else planned[index]

    def kept(self, index: int) -> int | None:
        """Return how many units a space may keep; None for all."""
        return None if self.width is None else max(1, round(self.width * max(self.units(index))))

    @cached_property
    def positions(self) -> list[int]:
        """Output positions of every layer of the structure."""
        return output_positions(self.structure, self.statistics.input_shape)

    @cached_property
    def parent_costs(self) -> dict[str, ExpectedCost]:
        """For every task the cost of its parent alone, by the cost model."""
        shape = self.statistics.input_shape
        return {
            task: expected_cost(parent.structure, {frozenset({task}): 1.0}, self.cost_model, self.profile, shape)
            for task, parent in self.parents.items()
        }

    @cached_property
    def unit_costs(self) -> dict[str, list[float]]:
        """For every task what one unit of every space costs in its parent, by the cost model."""
        found = {}
        for task, parent in self.parents.items():
            saved = self.parent_costs[task].unit_savings(parent.structure)
            found[task] = [saved[space, frozenset({task})] for space in parent.structure.spaces]
        return found

    @cached_property
    def unit_macs(self) -> dict[str, list[float]]:
        """For every task the MACs of one unit of every space in its parent: its own, and those of its readers on it."""
        found = {}
        for task, parent in self.parents.items():
            group, structure = frozenset({task}), parent.structure
            saved = unit_macs(structure, self.positions, {group: 1.0})
            found[task] = [saved[space, group] for space in structure.spaces]
        return found


def kept_reason(structure: Structure, space: int) -> str:
    """Say why the units of a space serve one task each; empty where they may be shared."""
    if structure.shareable[space]:
        return ""
    own = [structure.layers[index].kept for index in structure.tied(space) if structure.layers[index].kept]
    return own[0] if own else "what it reads is kept per task, so that there is nothing that shared units could read"
