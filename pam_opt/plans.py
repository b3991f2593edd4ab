"""The plan: for every layer each merged unit's members and group. Plain data, saved and loaded on its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pam_opt.atomic import write_text
from pam_opt.errors import PlanError, StorageError
from pam_opt.structure import Widths, canonical
from pam_opt.tasks import Group, check_name, combination_key

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """Say what becomes of the units of one layer.

    Parameters
    ----------
    name : the layer's name
    members : (n, K) int64, for each merged unit the unit of every parent that it stands for; -1 for none.
        Units of a parent that stand nowhere are dropped.
    shares : (n, K) float64, weight of each member in the merged unit; rows sum to 1
    groups : n groups, the tasks each merged unit serves, in canonical order

    Build it by `LayerPlan.build`, which sorts units into canonical order.
    """

    name: str
    members: np.ndarray
    shares: np.ndarray
    groups: tuple[Group, ...]

    @classmethod
    def build(cls, name: str, members: np.ndarray, shares: np.ndarray, groups: Sequence[Group]) -> "LayerPlan":
        """Build a plan with its units sorted into canonical order of their groups.

        Raises
        ------
        PlanError : a unit in two places, a merged unit without members, arrays that do not match
        """
        if members.shape != shares.shape or len(members) != len(groups):
            raise PlanError(f"layer {name!r}: members {members.shape}, shares {shares.shape}, {len(groups)} groups")
        if len(members) == 0:
            raise PlanError(f"layer {name!r} would lose all its units; keep at least one for every task")
        if (members < -1).any():
            raise PlanError(f"layer {name!r}: a member is {members.min()}; units count from 0, and -1 says none")
        if (members < 0).all(axis=1).any():
            raise PlanError(f"layer {name!r}: a merged unit has no member")
        for column in members.T:
            placed = column[column >= 0]
            if len(np.unique(placed)) < len(placed):
                raise PlanError(f"layer {name!r}: a unit is placed twice")
        rank = {group: position for position, group in enumerate(canonical(set(groups)))}
        order = np.argsort([rank[group] for group in groups], kind="stable")
        return cls(name, members[order].astype(np.int64), shares[order], tuple(groups[i] for i in order))

    @property
    def widths(self) -> Widths:
        """Number of merged units of every group."""
        return {group: self.groups.count(group) for group in dict.fromkeys(self.groups)}

    def rows(self, group: Group) -> np.ndarray:
        """Return the indices of a group's merged units."""
        return np.flatnonzero([member == group for member in self.groups])


@dataclass(frozen=True, eq=False)
class Plan:
    """Hold the plan of a whole network.

    Parameters
    ----------
    tasks : task names, the columns of every layer's `members`
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

        All None without records. For more than two tasks each parent is paired with the clusters of those before
        it: every step may be optimal, but the sum of their bounds bounds nothing, so bound and gap are None.
        """
        if not self.records:
            return {"name": None, "status": None, "value": None, "bound": None, "gap": None}
        statuses = "; ".join(sorted({record["status"] for record in self.records}))
        value, bounds = sum(record["value"] for record in self.records), [record["bound"] for record in self.records]
        stepwise = len(self.tasks) > 2
        bound = None if stepwise or any(b is None for b in bounds) else sum(bounds)
        return {
            "name": self.records[0]["solver"],
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
                "members": layer.members.tolist(),
                "shares": layer.shares.tolist(),
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
        write_text(Path(path), json.dumps(data))

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
                raise ValueError(f"schema {data['schema']}, this version reads {SCHEMA}")
            tasks = tuple(check_name(name) for name in data["tasks"])
            if len(set(tasks)) < len(tasks):
                raise ValueError(f"it names a task twice: {list(tasks)}")
            layers = tuple(_read_layer(layer, len(tasks)) for layer in data["layers"])
            shape = tuple(int(size) for size in data["input_shape"]) if data["input_shape"] else None
            records = tuple(_read_record(record) for record in data["records"])
            return cls(tasks, layers, shape, records, dict(data["seconds"]))
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as err:
            what = f"{type(err).__name__}: {err}"
            raise StorageError(f"{str(path)!r} is not a readable plan ({what}); save it again") from err


def _read_record(data: Mapping[str, Any]) -> dict[str, Any]:
    missing = sorted({"solver", "status", "value", "bound"} - set(data))
    if missing:
        raise ValueError(f"a record lacks {missing}")
    return dict(data)


def _read_layer(data: Mapping[str, Any], tasks: int) -> LayerPlan:
    members = np.array(data["members"]).reshape(-1, tasks)
    shares = np.array(data["shares"], dtype=np.float64).reshape(-1, tasks)
    groups = [frozenset(str(key).split("+")) for key in data["groups"]]
    if members.size and members.dtype.kind != "i":
        raise ValueError(f"layer {data['name']!r}: members must be whole numbers")
    layer = LayerPlan.build(str(data["name"]), members, shares, groups)
    # Written so that a NaN fails.
    if not ((shares >= 0).all() and (shares[members < 0] == 0).all() and np.allclose(shares.sum(axis=1), 1.0)):
        raise ValueError(f"layer {layer.name!r}: shares must be at least 0, 0 without a member, and sum to 1 per unit")
    return layer
