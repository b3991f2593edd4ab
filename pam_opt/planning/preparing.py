"""What every plan starts from: the parents as networks of one task, and their statistics."""

from collections.abc import Mapping, Sequence

from torch import nn

from pam_opt.errors import PlanError
from pam_opt.measuring import Statistics, measure
from pam_opt.network import MultitaskNetwork
from pam_opt.parents import convert_parents
from pam_opt.planning.request import Request
from pam_opt.tasks import CombinationWeights, Task, distribution
from pam_opt.training import Batches


def prepare(
    parents: Mapping[str, nn.Module],
    calibration: Batches | None,
    tasks: Sequence[Task],
    combinations: CombinationWeights | None,
    statistics: Statistics | None,
    *,
    within: bool,
) -> Request:
    """Convert and, unless that was done, measure the parents; all options of the request are the defaults."""
    probabilities = distribution((task.name for task in tasks), combinations)
    ordered = {task.name: parents[task.name] for task in tasks}
    converted = convert_parents(ordered)
    if statistics is None:
        if calibration is None:
            raise PlanError("planning needs calibration batches, or statistics= of an earlier measure()")
        statistics = measure(ordered, calibration, tasks=tasks, within=within)
    _check_statistics(statistics, converted)
    return Request(converted, statistics, probabilities, calibration)


def _check_statistics(statistics: Statistics, parents: Mapping[str, MultitaskNetwork]) -> None:
    """Refuse statistics of other parents: other tasks, depth or widths; those of further parents may be there."""
    measured = [
        {task: len(layer.units[task].mean) for task in parents if task in layer.units} for layer in statistics.layers
    ]
    depth = len(next(iter(parents.values())).structure.layers) - 1
    given = [
        {task: sum(parent.structure.widths[index].values()) for task, parent in parents.items()}
        for index in range(depth)
    ]
    if measured != given:
        raise PlanError(
            f"statistics= are of other parents: units per layer {measured}, the parents have {given}; measure these"
        )
