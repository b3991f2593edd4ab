"""What each method came to over all seeds, and what its result is compared with."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pam_opt.report.cells import Results, Setting, Training, settings
from pam_opt.tasks import combination_key, combinations, distribution

SEPARATE = "separate"
"""Every parent pruned by itself: the usual reference of costs."""

PARENTS = "parents"
"""The networks before merging and pruning."""


@dataclass(frozen=True)
class Contest:
    """What methods must have in common to be compared: the width they were merged to, and the training after it."""

    width: float | None
    training: Training


@dataclass(frozen=True)
class Row:
    """One result over all seeds.

    Parameters
    ----------
    name : of the result
    setting : where it stands in the study
    accuracy : task -> the task's metric for each seed
    plain : task -> plain accuracy for each seed; empty where the results have none
    macs : combination -> MACs for each seed
    expected : E[C] for each seed
    ratios : E[C] / E[C] of ``separate`` for each seed; empty if any seed lacks a ``separate`` within the drop
    within : whether the allowed drop was met on validation, for each seed; None without such a limit
    """

    name: str
    setting: Setting
    accuracy: dict[str, list[float]]
    plain: dict[str, list[float]]
    macs: dict[str, list[int]]
    expected: list[float]
    ratios: list[float]
    within: list[bool | None]

    @property
    def counts(self) -> bool:
        """Whether its cost counts: no seed is outside the allowed drop."""
        return False not in self.within

    @property
    def contest(self) -> Contest:
        """What its rivals have in common with it."""
        return Contest(self.setting.width, self.setting.training)

    def percent(self, combination: str, *, plain: bool = False) -> list[float]:
        """Return the accuracy of a combination for each seed, mean of its tasks, in %."""
        values = self.plain if plain else self.accuracy
        return [100 * statistics.mean(seed) for seed in zip(*(values[t] for t in combination.split("+")), strict=True)]


def rows(results: Sequence[Results]) -> list[Row]:
    """Collect the results that every seed has, in the order of the experiment."""
    known = settings(results)
    return [_row(setting, name, known, results) for setting, name in known.items()]


def contests(table: Sequence[Row]) -> dict[Contest, dict[str, Row]]:
    """Sort rows by what they can be compared with: contest -> method -> row."""
    found: dict[Contest, dict[str, Row]] = {}
    for row in table:
        found.setdefault(row.contest, {})[row.setting.method] = row
    return found


def parents_row(results: Sequence[Results]) -> Row:
    """Describe the parents side by side, unpruned, as a row."""
    parents = [result["parents"] for result in results]
    tasks = sorted(parents[0])
    groups = combinations(tasks)
    chances = distribution(tasks, results[0]["experiment"].get("combinations"))
    macs = {combination_key(group): [sum(seed[t]["macs"] for t in group) for seed in parents] for group in groups}
    return Row(
        PARENTS,
        Setting(PARENTS, None, Training(0.0)),
        {task: [seed[task]["accuracy"] for seed in parents] for task in tasks},
        _complete({task: [seed[task].get("plain") for seed in parents] for task in tasks}),
        macs,
        [sum(p * macs[combination_key(g)][n] for g, p in chances.items()) for n in range(len(results))],
        [],
        [None] * len(results),
    )


def _row(setting: Setting, name: str, known: Mapping[Setting, str], results: Sequence[Results]) -> Row:
    found = [result["methods"][name] for result in results]
    tasks = sorted(results[0]["parents"])
    whole = [cell["combinations"][combination_key(tasks)] for cell in found]
    reference = known.get(replace(setting, method=SEPARATE))
    separate = [result["methods"][reference] for result in results] if reference else []
    usable = [cell["expected_macs"] for cell in separate if cell["expected_macs"] and cell["within_drop"] is not False]
    return Row(
        name,
        setting,
        {task: [combination["accuracy"][task] for combination in whole] for task in tasks},
        _complete({task: [combination.get("plain", {}).get(task) for combination in whole] for task in tasks}),
        {key: [cell["combinations"][key]["macs"] for cell in found] for key in found[0]["combinations"]},
        [cell["expected_macs"] for cell in found],
        [cell["expected_macs"] / base for cell, base in zip(found, usable, strict=True)]
        if len(usable) == len(found)
        else [],
        [cell["within_drop"] for cell in found],
    )


def _complete(values: dict[str, list[Any]]) -> dict[str, list[float]]:
    """Return the values if none is missing, otherwise nothing."""
    return {} if any(None in seeds for seeds in values.values()) else values
