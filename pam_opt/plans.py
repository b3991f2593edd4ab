"""The plan: for every layer where each parent's units stand and whom the merged units serve. Plain data on its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pam_opt.atomic import finite_only, write_text
from pam_opt.errors import PlanError, StorageError
from pam_opt.structure import Widths, canonical
from pam_opt.tasks import Group, check_name, combination_key

SCHEMA = 2


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """Say what becomes of the units of one layer.

    Every unit of every parent either stands in one merged unit or is dropped. Those with a share make the merged
    unit; a unit with share 0 is only *represented*: the merged unit is computed without it, and whatever read the
    unit reads the merged unit in its place.

    Parameters
    ----------
    name : the layer's name
    places : for each parent (units,) int64, the merged unit in which each unit stands; -1 for dropped
    shares : for each parent (units,) float64, the unit's weight in its merged unit, 0 for one that is only
        represented or dropped; the shares in one merged unit sum to 1
    groups : n groups, the tasks each merged unit serves, in canonical order

    Build it by `LayerPlan.build` or `LayerPlan.of_members`, which sort units into canonical order.
    """

    name: str
    places: tuple[np.ndarray, ...]
    shares: tuple[np.ndarray, ...]
    groups: tuple[Group, ...]

    @classmethod
    def build(
        cls, name: str, places: Sequence[np.ndarray], shares: Sequence[np.ndarray], groups: Sequence[Group]
    ) -> "LayerPlan":
        """Build a plan with its units sorted into canonical order of their groups.

        Raises
        ------
        PlanError : a place that does not exist, a merged unit without members, shares that do not fit
        """
        _check_layer(name, places, shares, len(groups))
        rank = {group: position for position, group in enumerate(canonical(set(groups)))}
        order = np.argsort([rank[group] for group in groups], kind="stable")
        # Once more -1 at the end, so that a dropped unit, which is at place -1, stays there.
        position = np.append(np.argsort(order), -1)
        return cls(
            name,
            tuple(position[column.astype(np.int64)] for column in places),
            tuple(column.astype(np.float64) for column in shares),
            tuple(groups[i] for i in order),
        )

    @classmethod
    def of_members(
        cls,
        name: str,
        members: np.ndarray,
        shares: np.ndarray,
        groups: Sequence[Group],
        units: Sequence[int] | None = None,
    ) -> "LayerPlan":
        """Build a plan in which no merged unit has more than one unit of each parent.

        Parameters
        ----------
        members : (n, K) int64, the unit of every parent in each merged unit; -1 for none.
            Units that are nowhere are dropped.
        shares : (n, K) float64, weight of each member; rows sum to 1
        units : number of units of every parent; default: up to the last one that is a member

        Raises
        ------
        PlanError : a unit in two places, and see `build`
        """
        if members.ndim != 2 or members.shape != shares.shape or len(members) != len(groups):
            raise PlanError(f"layer {name!r}: members {members.shape}, shares {shares.shape}, {len(groups)} groups")
        if (members < -1).any():
            raise PlanError(f"layer {name!r}: a member is {members.min()}; units count from 0, and -1 says none")
        for column in members.T:
            placed = column[column >= 0]
            if len(np.unique(placed)) < len(placed):
                raise PlanError(f"layer {name!r}: a unit is placed twice")
        members = members.astype(np.int64)
        counts = units or [int(column.max(initial=-1)) + 1 for column in members.T]
        return cls.build(name, *place_members(members, shares, counts), groups)

    @classmethod
    def of_groups(cls, name: str, groups: Sequence[Group], units: Sequence[int]) -> "LayerPlan":
        """Build a plan in which no units merge.

        Parameters
        ----------
        groups : the tasks that every unit serves, parent after parent; none for one that is dropped
        units : number of units of every parent

        Raises
        ------
        PlanError : other numbers of groups than of units, and see `build`
        """
        if len(groups) != sum(units):
            raise PlanError(f"layer {name!r}: {len(groups)} groups for {sum(units)} units; give one for each")
        kept = np.array([bool(group) for group in groups])
        places = np.split(np.where(kept, np.cumsum(kept) - 1, -1), np.cumsum(units)[:-1])
        return cls.build(name, places, [(column >= 0).astype(float) for column in places], [g for g in groups if g])

    @property
    def widths(self) -> Widths:
        """Number of merged units of every group."""
        return {group: self.groups.count(group) for group in dict.fromkeys(self.groups)}

    @property
    def units(self) -> tuple[int, ...]:
        """Number of units of every parent."""
        return tuple(len(column) for column in self.places)

    def rows(self, group: Group) -> np.ndarray:
        """Return the indices of a group's merged units."""
        return np.flatnonzero([member == group for member in self.groups])


def place_members(
    members: np.ndarray, shares: np.ndarray, units: Sequence[int]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Turn (n, K) members and shares of merged units into places and shares of every parent's units."""
    places = [np.full(count, -1, dtype=np.int64) for count in units]
    parts = [np.zeros(count) for count in units]
    for column, (place, part) in enumerate(zip(places, parts, strict=True)):
        rows = np.flatnonzero(members[:, column] >= 0)
        place[members[rows, column]] = rows
        part[members[rows, column]] = shares[rows, column]
    return places, parts


def own_groups(members: np.ndarray, tasks: Sequence[str]) -> list[Group]:
    """Give each cluster the group of its members' tasks."""
    return [frozenset(tasks[int(column)] for column in np.flatnonzero(row >= 0)) for row in members]


def _check_layer(name: str, places: Sequence[np.ndarray], shares: Sequence[np.ndarray], count: int) -> None:
    shapes = [column.shape for column in places], [column.shape for column in shares]
    if shapes[0] != shapes[1] or any(len(shape) != 1 for shape in shapes[0]):
        raise PlanError(f"layer {name!r}: places {shapes[0]} and shares {shapes[1]} must be (units,) for every parent")
    if count == 0:
        raise PlanError(f"layer {name!r} would lose all its units; keep at least one for every task")
    place, share = np.concatenate(places), np.concatenate(shares)
    if place.size and not -1 <= place.min() <= place.max() < count:
        worst = place.min() if place.min() < -1 else place.max()
        raise PlanError(f"layer {name!r}: a unit is at place {worst}; places are 0 to {count - 1}, and -1 says dropped")
    empty = np.setdiff1d(np.arange(count), place)
    if len(empty):
        raise PlanError(f"layer {name!r}: a merged unit has no member")
    sums = np.bincount(place[place >= 0], share[place >= 0], minlength=count)
    # Written so that a NaN fails.
    if not ((share >= 0).all() and (share[place < 0] == 0).all() and np.allclose(sums, 1.0)):
        raise PlanError(
            f"layer {name!r}: shares must be at least 0, 0 for a dropped unit, and sum to 1 in every merged unit"
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """Hold the plan of a whole network.

    Parameters
    ----------
    tasks : task names, in the order of every layer's `places`
    layers : one `LayerPlan` for each hidden layer
    input_shape : shape of one sample
    records : what ran for each decision: plain data with layer, solver, status, value, bound, gap, seconds
    seconds : ``{"measure": ..., "solve": ...}``
    """

    tasks: tuple[str, ...]
    layers: tuple[LayerPlan, ...]
    input_shape: tuple[int, ...] | None = None
    records: tuple[Mapping[str, Any], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Sum the records up: solver, statuses that occurred, total value and bound, relative gap.

        All None without records. Where a record is `stepwise`, a layer was decided in steps that build on each
        other (for more than two tasks each parent is paired with the clusters of those before it): every step may
        be optimal, but the sum of their bounds bounds nothing, so bound and gap are None. Where a record is
        `joint`, it is of a decision over all layers, and the summary is of it alone.
        """
        records = [record for record in self.records if record.get("joint", False)] or self.records
        if not records:
            return {"name": None, "status": None, "value": None, "bound": None, "gap": None}
        statuses = "; ".join(sorted({record["status"] for record in records}))
        value, bounds = sum(record["value"] for record in records), [record["bound"] for record in records]
        stepwise = any(record.get("stepwise", False) for record in records)
        bound = None if stepwise or any(b is None for b in bounds) else sum(bounds)
        return {
            "name": records[0]["solver"],
            "status": f"each step {statuses}" if stepwise else statuses,
            "value": value,
            "bound": bound,
            "gap": None if bound is None else max(0.0, value - bound) / max(abs(value), 1e-300),
        }

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON: beside the target first, then renamed.

        Raises
        ------
        StorageError : the file cannot be written
        """
        layers = [
            {
                "name": layer.name,
                "places": [column.tolist() for column in layer.places],
                "shares": [column.tolist() for column in layer.shares],
                "groups": [combination_key(group) for group in layer.groups],
            }
            for layer in self.layers
        ]
        data = {
            "schema": SCHEMA,
            "tasks": list(self.tasks),
            "input_shape": list(self.input_shape) if self.input_shape else None,
            "layers": layers,
            "records": [dict(record) for record in self.records],
            "seconds": dict(self.seconds),
        }
        write_text(Path(path), json.dumps(finite_only(data), allow_nan=False))

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """Read a plan that `save` wrote.

        Raises
        ------
        StorageError : not a plan, or a damaged one
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf8"))
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']}, this version reads {SCHEMA}; plan again")
            tasks = tuple(check_name(name) for name in data["tasks"])
            if len(set(tasks)) < len(tasks):
                raise ValueError(f"it names a task twice: {list(tasks)}")
            layers = tuple(_read_layer(layer, len(tasks)) for layer in data["layers"])
            shape = tuple(int(size) for size in data["input_shape"]) if data["input_shape"] else None
            records = tuple(_read_record(record) for record in data["records"])
            return cls(tasks, layers, shape, records, dict(data["seconds"]))
        except (OSError, ValueError, LookupError, TypeError, RecursionError, PlanError) as err:
            what = f"{type(err).__name__}: {err}"
            raise StorageError(f"{str(path)!r} is not a readable plan ({what}); save it again") from err


def _read_record(data: Mapping[str, Any]) -> dict[str, Any]:
    missing = sorted({"solver", "status", "value", "bound"} - set(data))
    if missing:
        raise ValueError(f"a record lacks {missing}")
    return dict(data)


def _read_layer(data: Mapping[str, Any], tasks: int) -> LayerPlan:
    name = str(data["name"])
    places = [np.array(column) for column in data["places"]]
    shares = [np.array(column, dtype=np.float64) for column in data["shares"]]
    if len(places) != tasks:
        raise ValueError(f"layer {name!r}: places of {len(places)} parents, the plan has {tasks} tasks")
    if any(column.size and column.dtype.kind != "i" for column in places):
        raise ValueError(f"layer {name!r}: places must be whole numbers")
    groups = [frozenset(str(key).split("+")) for key in data["groups"]]
    return LayerPlan.build(name, places, shares, groups)
