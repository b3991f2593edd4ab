"""A table of layer times, and what lies between its entries."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pam_opt.errors import ConfigError
from pam_opt.latency.machine import Machine


@dataclass(frozen=True)
class Grid:
    """Hold the times of one layer shape.

    Parameters
    ----------
    entries : (units read, units written) -> seconds of one run of the batch
    """

    entries: Mapping[tuple[int, int], float]

    @cached_property
    def axes(self) -> tuple[list[int], list[int]]:
        """The numbers of units read, and written, at which every entry is there."""
        return sorted({read for read, _ in self.entries}), sorted({written for _, written in self.entries})

    @cached_property
    def seconds(self) -> np.ndarray:
        """(reads, writes) times that never fall with more units: a layer can always run as a larger one."""
        reads, writes = self.axes
        times = np.array([[self.entries[read, written] for written in writes] for read in reads])
        for axis in (0, 1):
            times = np.flip(np.minimum.accumulate(np.flip(times, axis), axis), axis)
        return times

    def at(self, read: int, written: int) -> float:
        """Interpolate between entries in either direction; outside, go on as between the last two; never below 0."""
        if (read, written) not in self._looked_up:
            self._looked_up[read, written] = self._interpolated(read, written)
        return self._looked_up[read, written]

    @cached_property
    def _looked_up(self) -> dict[tuple[int, int], float]:
        return {}

    def _interpolated(self, read: int, written: int) -> float:
        reads, writes = self.axes
        row, down = _between(reads, read)
        column, right = _between(writes, written)
        corners = self.seconds[np.ix_(row, column)]
        weights = np.outer([1 - down, down][: len(row)], [1 - right, right][: len(column)])
        return max(float((corners * weights).sum()), 0.0)


def _between(axis: Sequence[int], value: int) -> tuple[list[int], float]:
    """Return the two places around a value and how far it is from the first to the second."""
    if len(axis) == 1:
        return [0], 0.0
    left = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    return [left, left + 1], (value - axis[left]) / (axis[left + 1] - axis[left])


@dataclass(frozen=True)
class Profile:
    """Hold the times of layer shapes on one machine.

    Parameters
    ----------
    machine : where they were measured
    grids : key of a `LayerShape` -> its times
    """

    machine: Machine
    grids: Mapping[str, Grid] = field(default_factory=dict)

    def seconds(self, key: str, read: int, written: int, name: str = "") -> float:
        """Return the time of a layer for a batch.

        Raises
        ------
        ConfigError : a layer shape that was not measured
        """
        if key not in self.grids:
            raise ConfigError(
                f"the profile has no times of layer {name!r}; measure them: pam-opt profile NETWORK, with the same "
                "batch size and threads"
            )
        return self.grids[key].at(read, written)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as JSON types; `from_json` reads it back."""
        grids = {
            key: [[read, written, seconds] for (read, written), seconds in grid.entries.items()]
            for key, grid in self.grids.items()
        }
        return {"schema": 1, "machine": vars(self.machine), "grids": grids}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Profile":
        """Read what `to_json` wrote; a ``KeyError``, ``TypeError`` or ``ValueError`` means that it did not."""
        if data["schema"] != 1:
            raise ValueError(f"schema {data['schema']}, this version reads 1")
        grids = {
            str(key): Grid({(int(read), int(written)): float(seconds) for read, written, seconds in entries})
            for key, entries in data["grids"].items()
        }
        return cls(Machine(**data["machine"]), grids)
