"""A place that holds files by name, whether a directory or a zip archive."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pam_opt.errors import DataError


@dataclass(frozen=True)
class Store:
    """Hold the names in a store and the way to read them.

    Parameters
    ----------
    source : where it is, for error messages
    files : names of all files, relative, with forward slashes
    folders : names of all folders, likewise, with their parents
    read : returns the bytes of a file
    """

    source: str
    files: tuple[str, ...]
    folders: frozenset[str]
    read: Callable[[str], bytes]


@contextmanager
def open_directory(path: Path) -> Iterator[Store]:
    """Open a directory; links to directories are not followed."""
    files, folders = [], set()
    for where, subfolders, names in os.walk(path, onerror=_refuse):
        base = Path(where).relative_to(path)
        files += [(base / name).as_posix() for name in names]
        folders |= {(base / name).as_posix() for name in subfolders}
    yield Store(str(path), tuple(files), frozenset(folders), lambda name: _read(path, name))


def _refuse(err: OSError) -> NoReturn:
    raise DataError(f"'{err.filename}' cannot be read ({err.strerror}): check its permissions") from err


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as err:
        raise DataError(f"'{path}': '{name}' cannot be read ({err.strerror})") from err
