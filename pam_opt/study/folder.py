"""The folder of a study: which experiment it holds, and finished units of work as files of their own."""

import json
from pathlib import Path
from typing import Any

from pam_opt.atomic import finite_only, write_text
from pam_opt.errors import ConfigError, StorageError

_EXPERIMENT = "experiment.json"


def claim_folder(out: Path, experiment: dict[str, Any], resume: bool) -> None:
    """Make `out` the folder of this experiment.

    Raises
    ------
    ConfigError : it holds another experiment, this one without `resume`, or other files
    StorageError : it cannot be made
    """
    make_folder(out)
    try:
        others = [entry.name for entry in out.iterdir() if not entry.name.startswith(".")]
    except OSError as err:
        raise StorageError(f"output folder {str(out)!r} cannot be used: {err.strerror}") from err
    path = out / _EXPERIMENT
    if not path.exists():
        if others:
            raise ConfigError(f"output folder {str(out)!r} is not empty and holds no experiment; choose another --out")
        write_text(path, json.dumps(experiment, indent=1))
        return
    held = read_record(path)
    if held != json.loads(json.dumps(experiment)):
        differing = sorted(key for key in {*held, *experiment} if held.get(key) != experiment.get(key))
        raise ConfigError(
            f"output folder {str(out)!r} holds another experiment (it differs in {differing}); choose another --out"
        )
    if not resume:
        raise ConfigError(f"output folder {str(out)!r} holds this experiment already; add --resume to go on with it")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    StorageError : it cannot be made, or a file has its name
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"output folder {str(folder)!r} cannot be used: {err.strerror}") from err


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a finished unit of work, whole; numbers that are not finite become null, which every JSON reader knows."""
    write_text(path, json.dumps(finite_only(record), indent=1, allow_nan=False))


def read_record(path: Path, **kinds: type | tuple[type, ...]) -> dict[str, Any]:
    """Read a record that has at least the entries `kinds`, each of its type.

    Raises
    ------
    StorageError : not readable; says to remove it, so that its unit of work is done again
    """
    try:
        record = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as err:
        raise StorageError(f"record {str(path)!r} cannot be read ({err}); remove it and resume") from err
    if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in kinds.items()):
        needed = f" with {', '.join(kinds)}" if kinds else ""
        raise StorageError(f"record {str(path)!r} is not a record{needed}; remove it and resume")
    return record
