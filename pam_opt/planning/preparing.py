"""What every plan starts from: the parents as networks of one task, and their statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from pam_opt.errors import PlanError
from pam_opt.information.options import Information
from pam_opt.information.responses import Collected, collect
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
    information: Information | None = None,
    measured: bool = True,
) -> Request:
    """Convert and, unless that was done, measure the parents; all other options of the request are the defaults.

    Parameters
    ----------
    within : as of `measure`
    information : also collect responses
    measured : False for planners that read responses only
    """
    probabilities = distribution((task.name for task in tasks), combinations)
    ordered = {task.name: parents[task.name] for task in tasks}
    converted = convert_parents(ordered)
    responses = None if information is None else _collect(converted, calibration, tasks, information)
    if responses is not None and not measured:
        statistics = Statistics((), responses.samples, responses.input_shape, responses.seconds)
        return Request(converted, statistics, probabilities, information=information, responses=responses)
    if statistics is None:
        if calibration is None:
            raise PlanError("planning needs calibration batches, or statistics= of an earlier measure()")
        statistics = measure(ordered, calibration, tasks=tasks, within=within)
    _check_statistics(statistics, converted)
    if responses is not None:
        statistics = replace(statistics, seconds=statistics.seconds + responses.seconds)
    return Request(
        converted,
        statistics,
        probabilities,
        calibration=calibration,
        information=information,
        responses=responses,
    )


def _collect(
    parents: Mapping[str, MultitaskNetwork],
    calibration: Batches | None,
    tasks: Sequence[Task],
    information: Information,
) -> Collected:
    if calibration is None:
        raise PlanError("information is estimated from samples, which statistics= lack; pass calibration batches")
    return collect(
        parents,
        calibration,
        tasks,
        samples=information.samples,
        pooling=information.pooling,
        labels=information.labels,
    )


def _check_statistics(statistics: Statistics, parents: Mapping[str, MultitaskNetwork]) -> None:
    """Refuse statistics of other parents: other tasks, spaces or widths; those of further parents may be there."""
    measured = [
        {task: len(layer.units[task].mean) for task in parents if task in layer.units} for layer in statistics.layers
    ]
    given = [
        {task: sum(parent.structure.widths[space].values()) for task, parent in parents.items()}
        for space in next(iter(parents.values())).structure.spaces
    ]
    if measured != given:
        raise PlanError(
            f"statistics= are of other parents: units per layer {measured}, the parents have {given}; measure these"
        )
