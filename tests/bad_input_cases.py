"""Bad input of every kind, and a tiny study, shared by the tests of what users can get wrong."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import Data, make_data, make_tasks, random_parent
from safetensors.torch import save_file
from torch import Tensor, nn

import pam_opt as pam
from pam_opt.storage import SCHEMA

SHAPE = (1, 4, 4)
TASKS = make_tasks(2)

STUDY: dict[str, Any] = {
    "name": "tiny",
    "data": {"source": "digits", "limit": 200, "validation": 0.2},
    "tasks": [
        {"name": "low", "classes": [0, 1, 2, 3, 4]},
        {"name": "even", "mapping": {digit: digit % 2 for digit in range(10)}},
    ],
    "family": {"name": "mlp", "options": {"widths": [8, 6]}},
    "parents": {"epochs": 1, "batch_size": 32},
    "merge": {"calibration": 100},
    "methods": ["separate", "optimal"],
    "prune": {"max_drop": 0.5, "steps": 2, "fraction": 0.3, "patience": 0, "batch_size": 32},
    "threads": 1,
}


@contextmanager
def refuses(kind: type[pam.PamOptError], *parts: str) -> Iterator[None]:
    """Expect an error of the project's family whose message has all the parts."""
    assert issubclass(kind, pam.PamOptError)
    with pytest.raises(kind) as caught:
        yield
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def parents() -> dict[str, nn.Sequential]:
    """Two small parents with layers linear1, linear2 and head, and three classes each."""
    return {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}


def data() -> Data:
    """Three batches that fit `parents` and `TASKS`."""
    return make_data(SHAPE, TASKS)


def plan(**changes: Any) -> pam.Plan:
    """Plan the small parents; changes replace arguments of `pam_opt.plan`."""
    given = {"parents": parents(), "calibration": data(), "tasks": TASKS} | changes
    return pam.plan(given.pop("parents"), given.pop("calibration"), **given)


@cache
def _half_shared() -> tuple[pam.Plan, pam.MultitaskNetwork]:
    made = plan(share=0.5)
    return made, pam.merge(parents(), made, calibration=data())


def merged(**changes: Any) -> pam.MultitaskNetwork:
    """Merge the small parents, half of them shared; changes replace arguments of `pam_opt.merge`."""
    made, network = _half_shared()
    if not changes:
        return deepcopy(network)
    given = {"parents": parents(), "plan": made, "calibration": data()} | changes
    return pam.merge(given.pop("parents"), given.pop("plan"), **given)


def without_target(batches: Data, task: str) -> Data:
    """Leave a task's target out of the last batch."""
    *first, (x, targets) = batches
    return [*first, (x, {name: target for name, target in targets.items() if name != task})]


def with_target(target: Callable[[int], Tensor]) -> Data:
    """Replace task a's target in the first batch; the function takes the number of samples."""
    (x, targets), *rest = data()
    return [(x, {**targets, "a": target(len(x))}), *rest]


def with_inputs(change: Callable[[Tensor], Any]) -> Data:
    """Change the inputs of every batch."""
    return [(change(x), targets) for x, targets in data()]


def write_network(path: Path, tensors: Mapping[str, Tensor], structure: object, schema: int = SCHEMA) -> Path:
    """Write a network file by hand, as `pam_opt.save` does, but of anything."""
    header = {"pam_opt": json.dumps({"schema": schema, "structure": structure})}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, header)
    return path


def raw_safetensors(header: bytes, body: bytes = b"") -> bytes:
    """Return a safetensors file of any header."""
    return struct.pack("<Q", len(header)) + header + body


def changed(tree: Any, place: str, value: Any) -> Any:
    """Copy plain data with one entry replaced; the place is written like ``layers.0.kind``."""
    copy = json.loads(json.dumps(tree))
    *way, last = [int(part) if part.lstrip("-").isdigit() else part for part in place.split(".")]
    inner = copy
    for part in way:
        inner = inner[part]
    inner[last] = value
    return copy


def merged_into(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a configuration with changes, section by section; None removes an entry."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged_into(result[key], value)
        else:
            result[key] = value
    return result


def study(**changes: Any) -> dict[str, Any]:
    """Return the tiny study with changes."""
    return merged_into(STUDY, changes)


def without_seconds(tree: Any) -> Any:
    """Copy results without any measured time."""
    if isinstance(tree, dict):
        return {key: without_seconds(value) for key, value in tree.items() if key != "seconds"}
    return [without_seconds(value) for value in tree] if isinstance(tree, list) else tree


def strict_json(path: Path) -> Any:
    """Read JSON as the standard has it: no NaN, no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}")

    return json.loads(path.read_text(encoding="utf8"), parse_constant=refuse)


def leftovers(folder: Path) -> list[str]:
    """Name the unfinished files of a folder."""
    return [str(path) for path in folder.rglob("*") if path.name.endswith((".part", ".tmp"))]


class Residual(nn.Module):
    """A module with a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(16, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x.flatten(1)))
        return self.head(hidden + self.second(hidden))
