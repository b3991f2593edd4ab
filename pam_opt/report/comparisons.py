"""Methods against each other on the same seeds: paired differences of accuracy, and what a heuristic loses in value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pam_opt.report.cells import Results, Setting, Training, accuracies, setting, settings, trainings_of, widths_of
from pam_opt.report.intervals import Interval, interval

RIVALS = {"representatives": "representatives-greedy", "optimal": "greedy", "columns-swaps": "columns"}
"""The same problem solved to the optimum, or better, and by its greedy."""

CONTROL = "select"
"""The method that needs no solver."""

_PAIRS = (
    *RIVALS.items(),
    ("optimal", "random"),
    ("optimal", CONTROL),
    ("columns", CONTROL),
    ("representatives", CONTROL),
    ("representatives", "optimal"),
    ("optimal", "parents"),
)


@dataclass(frozen=True)
class Comparison:
    """One method minus another after the same training, in points of accuracy.

    Parameters
    ----------
    first, second : names of the methods; ``parents`` are the networks before the merge
    training : after the merge
    differences : width -> mean over seeds of the paired difference, widest first
    overall : of the mean over the widths, seed by seed
    """

    first: str
    second: str
    training: Training
    differences: dict[float | None, Interval]
    overall: Interval


def comparisons(results: Sequence[Results]) -> list[Comparison]:
    """Compare every two methods worth comparing that the study has, after every training."""
    known = settings(results)
    widths: list[float | None] = [*widths_of(list(known)), *({None} & {where.width for where in known})]
    made = []
    for first, second in _PAIRS:
        for training in trainings_of(list(known)):
            values = {width: _differences(results, known, first, second, width, training) for width in widths}
            found = {width: value for width, value in values.items() if value}
            if found:
                means = [sum(seed) / len(seed) for seed in zip(*found.values(), strict=True)]
                made.append(
                    Comparison(
                        first, second, training, {width: interval(v) for width, v in found.items()}, interval(means)
                    )
                )
    return made


def _differences(
    results: Sequence[Results],
    known: Mapping[Setting, str],
    first: str,
    second: str,
    width: float | None,
    training: Training,
) -> list[float]:
    """Return the paired differences, one a seed; none where the study lacks one of the methods."""
    one = known.get(Setting(first, width, training))
    two = "parents" if second == "parents" else known.get(Setting(second, width, training))
    if one is None or two is None:
        return []
    return [a - b for a, b in zip(accuracies(results, one), accuracies(results, two), strict=True)]


@dataclass(frozen=True)
class HeuristicLoss:
    """How far a heuristic's value of the objective lies above the best method's, at one width, relative to the latter.

    Parameters
    ----------
    best, heuristic : names of the methods
    width : as in `Setting`
    totals : of the sum over layers, each seed
    layers : of every layer, each seed
    gaps : how far the best sum lies above its bound, each seed; None where there is no bound
    """

    best: str
    heuristic: str
    width: float | None
    totals: tuple[float, ...]
    layers: tuple[float, ...]
    gaps: tuple[float | None, ...]


def heuristic_losses(results: Sequence[Results]) -> list[HeuristicLoss]:
    """Compare values of the objective, where the results hold them layer by layer for every seed."""
    known = settings(results)
    made = []
    for best, heuristic in RIVALS.items():
        for width in dict.fromkeys(where.width for where in known if where.method == best):
            found = [(_objective(result, best, width), _objective(result, heuristic, width)) for result in results]
            if all(mine and mine.keys() == theirs.keys() for mine, theirs in found):
                made.append(_loss(best, heuristic, width, found))
    return made


_Layers = dict[str, tuple[float, float | None]]
"""Layer -> (value, bound)."""


def _objective(result: Results, method: str, width: float | None) -> _Layers:
    """Find the values of a method's layers; none where they were not kept."""
    for unit, steps in result.get("objectives", {}).items():
        where = setting(unit)
        if (where.method, where.width) == (method, width):
            return {name: _sum_up([step for step in steps if step["layer"] == name]) for name in _names(steps)}
    return {}


def _names(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(step["layer"] for step in steps))


def _sum_up(steps: Sequence[Mapping[str, Any]]) -> tuple[float, float | None]:
    """Add what the steps of a layer cost; steps that build on each other have no common bound."""
    return sum(step["value"] for step in steps), _bound(None if step["stepwise"] else step["bound"] for step in steps)


def _bound(bounds: Iterable[float | None]) -> float | None:
    """Add bounds; None if one of them is missing."""
    total = 0.0
    for bound in bounds:
        if bound is None:
            return None
        total += bound
    return total


def _loss(best: str, heuristic: str, width: float | None, found: Sequence[tuple[_Layers, _Layers]]) -> HeuristicLoss:
    totals, gaps = [], []
    for mine, theirs in found:
        value, bound = _total(mine), _bound(bound for _, bound in mine.values())
        totals.append(_above(_total(theirs), value))
        gaps.append(None if bound is None else max(0.0, _above(value, bound)))
    layers = [_above(theirs[name][0], mine[name][0]) for mine, theirs in found for name in mine]
    return HeuristicLoss(best, heuristic, width, tuple(totals), tuple(layers), tuple(gaps))


def _total(layers: _Layers) -> float:
    return sum(value for value, _ in layers.values())


def _above(value: float, reference: float) -> float:
    return 0.0 if value == reference else (value - reference) / max(abs(reference), 1e-300)
