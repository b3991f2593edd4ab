"""The conclusion in words, from the data alone: which solver for which problem and size, and what greedy loses."""

import math
import statistics
from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby

from pam_opt.bench.record import Ending
from pam_opt.report.bench.board import SHIFT_SECONDS, TARGET, Board, Entry, instance_of, mean_seconds

CLEARLY = 1.2
"""Times that differ by less than this factor, both with the shift of their mean, count as equal."""


@dataclass(frozen=True)
class Choice:
    """The solver to use at one size.

    Parameters
    ----------
    size : class of size
    label : the fastest, by shifted geometric mean, among those that reach the best known value on every instance; or,
        where none does, the one with the least worst loss
    seconds : its shifted geometric mean
    worst : its worst loss; inf where it found nothing on some instance
    always : whether it reaches the best known value on every instance
    proved : part of the instances where the best known value is proved optimal, by whichever solver
    """

    size: int
    label: str
    seconds: float
    worst: float
    always: bool
    proved: float


def choose(board: Board, size: int) -> Choice:
    """Choose the solver for one size."""
    groups = {label: found for label in board.labels if (found := _of_size(board, label, size))}
    always = {label: found for label, found in groups.items() if all(entry.reached for entry in found)}
    if always:
        label = _fastest(always)
    else:
        label = min(groups, key=lambda name: (_missed(groups[name]), _worst(groups[name]), mean_seconds(groups[name])))
    found = groups[label]
    return Choice(size, label, mean_seconds(found), _worst(found), label in always, _proved(groups))


def _fastest(groups: dict[str, list[Entry]]) -> str:
    """Return the fastest; of those that are not clearly slower, what proves most, then what is faster over all."""
    whole = {label: found for label, found in groups.items() if len(found) == _most(groups)}
    seconds = {label: mean_seconds(found) + SHIFT_SECONDS for label, found in whole.items()}
    close = [label for label in whole if seconds[label] <= CLEARLY * min(seconds.values())]
    return max(close, key=lambda label: sum(entry.proved for entry in whole[label]))  # the first of several


def conclusion(board: Board) -> str:
    """Return the paragraph on one kind of problem."""
    return f"{board.problem}: " + " ".join(map(_verdict, variants(board)))


def variants(board: Board) -> tuple[Board, ...]:
    """Split a board by the solvers that do not apply, most instances first: advice must not mix what they can take."""
    barred: dict[tuple[object, ...], frozenset[str]] = {}
    for entry in board.entries:
        own = {entry.record.label} if entry.record.ending is Ending.DOES_NOT_APPLY else set()
        barred[instance_of(entry)] = barred.get(instance_of(entry), frozenset()) | own
    counts = Counter(barred.values())
    return tuple(
        replace(
            board,
            entries=tuple(
                entry
                for entry in board.entries
                if barred[instance_of(entry)] == names and entry.record.label not in names
            ),
            labels=tuple(label for label in board.labels if label not in names),
            barred=tuple(label for label in board.labels if label in names),
        )
        for names in sorted(counts, key=lambda names: (-counts[names], sorted(names)))
        if not names >= set(board.labels)
    )


def _verdict(board: Board) -> str:
    choices = [choose(board, size) for size in board.sizes]
    advice = [_advice(board, list(group)) for _, group in groupby(choices, key=lambda c: (c.label, c.always))]
    return " ".join([*_where(board), *advice, _proof(board, choices), *_greedy(board)])


def _where(board: Board) -> list[str]:
    if not board.barred:
        return []
    names = ", ".join(f"'{label}'" for label in board.barred)
    does = "does" if len(board.barred) == 1 else "do"
    return [f"Where {names} {does} not apply ({', '.join(board.families)}):"]


def _advice(board: Board, choices: list[Choice]) -> str:
    first, last = choices[0], choices[-1]
    sizes = f"{first.size}" if first is last else f"{first.size} to {last.size}"
    times = _seconds(first.seconds) if first is last else f"{_seconds(first.seconds)} to {_seconds(last.seconds)}"
    where = f"for sizes {sizes}" if first is not last else f"for size {sizes}"
    if first.always:
        return (
            f"Use '{first.label}' {where} ({times}): always within {100 * TARGET:g} % of the best known value, and "
            "none that is as good is clearly faster."
        )
    worst = max(choice.worst for choice in choices)
    words = f"loses at most {percent(worst)}" if math.isfinite(worst) else "finds nothing on some instances"
    return (
        f"No solver comes within {100 * TARGET:g} % of the best known value on every instance {where}; '{first.label}' "
        f"is the safest ({words}; {times})."
    )


def _proof(board: Board, choices: list[Choice]) -> str:
    parts = [choice.proved for choice in choices]
    if min(parts) == 1:
        return "Every best known value is proved optimal."
    gaps = [
        max(0.0, (entry.best - entry.best_bound) / entry.yardstick)
        for entry in board.entries
        if math.isfinite(entry.best) and math.isfinite(entry.best_bound)
    ]
    instances = statistics.fmean(parts)
    gap = f"; the others are within {percent(max(gaps))} of a proved bound" if gaps else ""
    return f"{percent(instances)} of the best known values are proved optimal{gap}."


def _greedy(board: Board) -> list[str]:
    return [_loss_of(board, label) for label in board.labels if "greedy" in label]


def _loss_of(board: Board, label: str) -> str:
    entries = board.of(label)
    decided = [entry for entry in entries if entry.decided and math.isfinite(entry.best)]
    missed = sum(not entry.decided and math.isfinite(entry.best) for entry in entries)
    nothing = f", and finds no decision at all on {missed} of {len(entries)} instances" if missed else ""
    if not decided:
        return f"'{label}' finds no decision on any of {len(entries)} instances."
    worst = max(decided, key=lambda entry: entry.loss)
    median = statistics.median(entry.loss for entry in decided)
    if worst.loss <= TARGET:
        return f"'{label}' loses nothing here (at most {percent(worst.loss)}){nothing}."
    record = worst.record
    severity = "" if math.isnan(record.severity) else f", severity {record.severity:g}"
    place = f"{record.family}, size {record.size}{severity}"
    return f"'{label}' loses {percent(median)} in the median and {percent(worst.loss)} at worst ({place}){nothing}."


def _of_size(board: Board, label: str, size: int) -> list[Entry]:
    return [entry for entry in board.of(label) if board.size_class(entry.record.size) == size]


def _most(groups: dict[str, list[Entry]]) -> int:
    return max(len(found) for found in groups.values())


def _missed(entries: list[Entry]) -> int:
    return sum(not entry.decided and not entry.reached for entry in entries)


def _worst(entries: list[Entry]) -> float:
    return max(entry.loss if not entry.reached else min(entry.loss, TARGET) for entry in entries)


def _proved(groups: dict[str, list[Entry]]) -> float:
    proved: dict[tuple[object, ...], bool] = {}
    for entry in (entry for found in groups.values() for entry in found):
        key = instance_of(entry)
        proved[key] = proved.get(key, False) or entry.proved
    return statistics.fmean(proved.values())


def percent(part: float) -> str:
    """Write a part as percent with two or three digits, short."""
    value = 100 * part
    if math.isinf(value):
        return "-"
    if value > 1000:
        return "over 1,000 %"
    return f"{value:.3g} %" if value >= 0.01 or value == 0 else "< 0.01 %"


def _seconds(value: float) -> str:
    return f"{1000 * value:.2g} ms" if value < 0.1 else f"{value:.3g} s"
