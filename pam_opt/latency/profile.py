"""``measure_profile``: fill the machine's table of layer times for the layers of a network; stopped, it goes on."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs
import torch

from pam_opt.atomic import write_text
from pam_opt.errors import StorageError
from pam_opt.latency.machine import Machine
from pam_opt.latency.shapes import LayerShape, layer_shapes
from pam_opt.latency.table import Grid, Profile
from pam_opt.latency.timing import median_seconds, torch_threads
from pam_opt.structure import INPUT, Structure

_PARTS = (0.0625, 0.125, 0.25, 0.5, 0.75, 1.0)

Timer = Callable[[LayerShape, int, int, int], float]
"""(shape, batch, units read, units written) -> seconds."""


def cache_folder() -> Path:
    """Return where profiles lie unless said otherwise: the user's cache."""
    return Path(platformdirs.user_cache_dir("pam-opt")) / "latency"


def read_profile(machine: Machine, folder: Path | None = None) -> Profile:
    """Read what is measured already under the conditions of `machine`; nothing is an empty profile.

    Raises
    ------
    StorageError : a damaged file
    """
    path = (folder or cache_folder()) / machine.file_name
    if not path.exists():
        return Profile(machine)
    try:
        profile = Profile.from_json(json.loads(path.read_text(encoding="utf8")))
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as err:
        raise StorageError(f"{str(path)!r} holds no profile ({err}); delete it to measure again") from err
    return profile


def time_layer(shape: LayerShape, batch: int, read: int, written: int) -> float:
    """Time a layer of random weights, seconds a batch."""
    module, inputs = shape.module(read, written), shape.inputs(batch, read, written)
    with torch.inference_mode():
        return median_seconds(lambda: module(inputs))


def measure_profile(
    structure: Structure,
    machine: Machine,
    *,
    input_shape: Sequence[int] | None = None,
    folder: Path | None = None,
    timer: Timer = time_layer,
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """Measure the layers of a network at a grid of numbers of units, where the cache lacks them.

    The file in the cache is written after every entry, so that a measurement that was stopped goes on.

    Parameters
    ----------
    structure : its widths, all groups together, are the largest numbers of units that are measured
    folder : of the cache; default: the user's
    progress : called with (entries measured, entries to measure)

    Raises
    ------
    UnsupportedModel : the input shape is missing or does not fit
    StorageError : the cache cannot be read or written
    """
    place = folder or cache_folder()
    profile = read_profile(machine, place)
    grids = {key: dict(grid.entries) for key, grid in profile.grids.items()}
    missing = [
        (shape, entry)
        for index, shape in enumerate(layer_shapes(structure, input_shape))
        for entry in _grid(structure, index, shape, grids.get(shape.key, {}))
    ]
    _make_folder(place)
    with torch_threads(machine.threads):
        for done, (shape, entry) in enumerate(missing):
            entries = grids.setdefault(shape.key, {})
            if entry not in entries:
                entries[entry] = timer(shape, machine.batch, *entry)
                _write(place / machine.file_name, machine, grids)
            if progress is not None:
                progress(done + 1, len(missing))
    return Profile(machine, {key: Grid(entries) for key, entries in grids.items()})


def _grid(
    structure: Structure, index: int, shape: LayerShape, known: dict[tuple[int, int], float]
) -> list[tuple[int, int]]:
    """List the entries that are to be there: the units' parts of their largest number, and all that is there."""
    inputs = structure.layers[index].inputs
    most = sum(structure.units(source, group) for source in inputs for group in structure.groups(source))
    fixed = all(source == INPUT for source in inputs) or not shape.reads
    reads = {most if shape.reads else 1} if fixed else _points(most)
    writes = _points(sum(structure.widths[index].values()))
    reads |= {read for read, _ in known}
    writes |= {written for _, written in known}
    return sorted({(read, written) for read in reads for written in writes} - set(known))


def _points(most: int) -> set[int]:
    return {1} | {max(1, round(part * most)) for part in _PARTS}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"the folder {str(folder)!r} cannot be made: {err.strerror}; give another --cache") from err


def _write(path: Path, machine: Machine, grids: dict[str, dict[tuple[int, int], float]]) -> None:
    profile = Profile(machine, {key: Grid(entries) for key, entries in grids.items()})
    write_text(path, json.dumps(profile.to_json(), indent=1))
