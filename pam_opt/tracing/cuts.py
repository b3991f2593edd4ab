"""Cut steps so that every range of channels that is read is all of what one step, or several, write.

A range that is read for itself (a chunk, a part of a sum) cuts the step that writes it; a cut goes through all steps
that keep channels apart, forwards and backwards, until it meets dense layers: these are cut into layers that read the
same inputs and have each its rows.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NoReturn

from pam_opt.errors import UnsupportedModel
from pam_opt.structure import INPUT
from pam_opt.tracing.steps import Step
from pam_opt.tracing.values import Segment

Cuts = list[set[int]]
"""For every step the channels at which it is cut, its ends too."""


def live_steps(steps: Sequence[Step], result: Sequence[Segment]) -> tuple[list[Step], list[Segment]]:
    """Leave out the steps that the result does not need."""
    needed: set[int] = set()
    waiting = [segment.step for segment in result]
    while waiting:
        index = waiting.pop()
        if index != INPUT and index not in needed:
            needed.add(index)
            waiting.extend(segment.step for segment in steps[index].inputs)
    place = {index: new for new, index in enumerate(sorted(needed))} | {INPUT: INPUT}

    def moved(segments: Sequence[Segment]) -> tuple[Segment, ...]:
        return tuple(replace(segment, step=place[segment.step]) for segment in segments)

    return [replace(steps[index], inputs=moved(steps[index].inputs)) for index in sorted(needed)], list(moved(result))


def cut_steps(steps: list[Step], result: list[Segment], who: str) -> tuple[list[Step], list[Segment]]:
    """Cut steps until every segment that is read covers whole steps.

    Raises
    ------
    UnsupportedModel : a cut through a group of channels that must stay together; names the step
    """
    cuts = _find_cuts(steps, result)
    parts: dict[tuple[int, int], int] = {}
    found: list[Step] = []
    for index, step in enumerate(steps):
        bounds = sorted(cuts[index])
        if step.on_input:
            parts[index, 0] = len(found)
            found.append(replace(step, inputs=_spread(step.inputs, cuts, parts)))
        for start, stop in pairwise(bounds):
            parts[index, start] = len(found)
            part = _part(step, start, stop, who, cuts, parts)
            if not step.is_dense and len(part.inputs) > len(step.inputs):
                _refuse(step, who, "reads a group of channels that others read in parts")
            found.append(part)
    return found, list(_spread(result, cuts, parts))


def _find_cuts(steps: list[Step], result: list[Segment]) -> Cuts:
    cuts: Cuts = [{0, step.channels} for step in steps]
    for segment in (*result, *(segment for step in steps for segment in step.inputs)):
        if segment.step != INPUT:
            cuts[segment.step] |= {segment.start, segment.stop}
    spreading = True
    while spreading:
        found = [_spread_cuts(index, step, cuts) for index, step in enumerate(steps)]
        spreading = any(found)
    return cuts


def _spread_cuts(index: int, step: Step, cuts: Cuts) -> bool:
    """Take over the cuts of what a step reads channel by channel, and the reverse; say whether any is new."""
    if step.is_dense or step.on_input:
        return False
    before = len(cuts[index]) + sum(len(cuts[segment.step]) for segment in step.inputs)
    for segment in step.inputs:
        read, write = segment.channels, step.channels
        inside = {cut for cut in cuts[segment.step] if segment.start < cut < segment.stop}
        cuts[index] |= {(cut - segment.start) * write // read for cut in inside}
        cuts[segment.step] |= {segment.start + cut * read // write for cut in cuts[index]}
    return len(cuts[index]) + sum(len(cuts[segment.step]) for segment in step.inputs) > before


def _part(step: Step, start: int, stop: int, who: str, cuts: Cuts, parts: dict[tuple[int, int], int]) -> Step:
    if (start, stop) == (0, step.channels):
        return replace(step, inputs=_spread(step.inputs, cuts, parts))
    units = step.parts * (stop - start) // step.channels
    if step.kept or step.kind == "layer_norm":
        _refuse(step, who, f"is read in parts, cut at channel {start or stop}, but it mixes channels")
    if units * step.channels != step.parts * (stop - start) or step.parts * start % step.channels:
        _refuse(
            step, who, f"is cut at channel {start or stop}, inside a group of {step.channels // step.parts} channels"
        )
    return replace(
        step,
        name=f"{step.name}[{start}:{stop}]",
        inputs=_spread(step.inputs if step.is_dense else _shares(step, start, stop), cuts, parts),
        channels=stop - start,
        parts=units,
        weights=step.weights.cut(start, stop) if step.weights else None,
    )


def _refuse(step: Step, who: str, why: str) -> NoReturn:
    raise UnsupportedModel(f"{who}: {step.shown} {why}; cut the channels elsewhere, or not at all")


def _shares(step: Step, start: int, stop: int) -> tuple[Segment, ...]:
    """Say what a part of a step that keeps channels apart reads."""
    return tuple(
        Segment(
            segment.step,
            segment.start + start * segment.channels // step.channels,
            segment.start + stop * segment.channels // step.channels,
        )
        for segment in step.inputs
    )


def _spread(segments: Sequence[Segment], cuts: Cuts, parts: dict[tuple[int, int], int]) -> tuple[Segment, ...]:
    """Name the parts that segments consist of, each as a whole."""
    found = []
    for segment in segments:
        if segment.step == INPUT or not segment.channels:
            found.append(replace(segment, step=segment.step if segment.step == INPUT else parts[segment.step, 0]))
            continue
        bounds = sorted(cuts[segment.step])
        place = bisect_right(bounds, segment.start) - 1
        while bounds[place] < segment.stop:
            width = bounds[place + 1] - bounds[place]
            found.append(Segment(parts[segment.step, bounds[place]], 0, width))
            place += 1
    return tuple(found)
