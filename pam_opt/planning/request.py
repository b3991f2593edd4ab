"""What a plan is asked for: parents, statistics and options, in one place for all planners."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pam_opt.information.options import Information
from pam_opt.information.responses import Collected
from pam_opt.macs import output_positions
from pam_opt.measuring import Statistics
from pam_opt.network import MultitaskNetwork
from pam_opt.tasks import Group
from pam_opt.training import Batches


@dataclass(frozen=True)
class Request:
    """Hold everything a planner may use; see `pam_opt.plan` for the options.

    Parameters
    ----------
    parents : task -> network of one task, in the order of the tasks
    statistics : without layers where the planner reads none of them
    shares : layer name -> fraction of the possible pairs that merge, or of the kept units that are shared
    width : units kept per layer as a fraction of the widest parent's; None keeps all
    information, responses : what is asked of information, and what it is estimated from; None where it is not asked
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

    def units(self, index: int) -> list[int]:
        """Count the units of every parent in a layer."""
        return [parent.structure.widths[index][frozenset({task})] for task, parent in self.parents.items()]

    def kept(self, index: int) -> int | None:
        """Return how many units a layer may keep; None for all."""
        return None if self.width is None else max(1, round(self.width * max(self.units(index))))

    @cached_property
    def positions(self) -> list[int]:
        """Output positions of every layer."""
        structure = next(iter(self.parents.values())).structure
        return output_positions(structure, self.statistics.input_shape)
