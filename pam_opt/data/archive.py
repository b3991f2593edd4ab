"""Zip archives from strangers: checked before use, read in place, never extracted to disk."""

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from pam_opt.data.store import Store
from pam_opt.errors import DataError

MAX_UNPACKED_BYTES = 8 * 2**30
"""The most that all entries of an archive may unpack to, together."""

MAX_FILE_BYTES = 256 * 2**20
"""The most that one file of an image folder may unpack to."""

_ENCRYPTED = 0x1
_DRIVE = re.compile(r"^[A-Za-z]:")


@contextmanager
def open_archive(path: Path) -> Iterator[ZipFile]:
    """Open a zip archive after checking all its entries.

    Raises
    ------
    DataError
        It is no archive or is cut short, unpacks to more than ``MAX_UNPACKED_BYTES``, or has an entry that
        is encrypted, occurs twice, or whose name leads out of the archive.
    """
    with _opened(path) as archive:
        _require_small(path, archive)
        for entry in archive.infolist():
            _require_inside(path, entry.orig_filename)
            if entry.flag_bits & _ENCRYPTED:
                raise DataError(f"'{path}': entry '{entry.filename}' is encrypted: pack it without a password")
        _require_distinct(path, archive)
        yield archive


@contextmanager
def open_zip_store(path: Path) -> Iterator[Store]:
    """Open a zip archive as a store of files."""
    with open_archive(path) as archive:
        entries = {PurePosixPath(name): name for name in archive.namelist()}  # "./a//b" becomes "a/b"
        files = {str(entry): name for entry, name in entries.items() if not name.endswith("/")}
        folders = {str(entry) for entry, name in entries.items() if name.endswith("/")}
        folders |= {str(parent) for entry in entries for parent in entry.parents}
        yield Store(
            source=str(path),
            files=tuple(files),
            folders=frozenset(folders - {"."}),
            read=lambda name: _read(path, archive, files[name]),
        )


def _opened(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except (BadZipFile, ValueError, NotImplementedError, EOFError) as err:
        raise DataError(f"'{path}' is not a zip archive, or is cut short ({err}): download or pack it again") from err
    except OSError as err:
        raise DataError(f"'{path}' cannot be read ({err})") from err


def _require_small(path: Path, archive: ZipFile) -> None:
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise DataError(
            f"'{path}' would unpack to {unpacked / 2**30:,.1f} GiB, above the limit of "
            f"{MAX_UNPACKED_BYTES / 2**30:g} GiB: use a smaller archive"
        )


def _require_inside(path: Path, name: str) -> None:
    hostile = ".." in name.split("/") or name.startswith("/") or "\\" in name or "\0" in name
    if hostile or _DRIVE.match(name):
        raise DataError(
            f"'{path}': entry {name!r} leads out of the archive (.., an absolute path, a drive or a "
            "backslash): pack it again with plain relative names and forward slashes"
        )


def _require_distinct(path: Path, archive: ZipFile) -> None:
    name, count = next(iter(Counter(archive.namelist()).most_common(1)), ("", 0))
    if count > 1:
        raise DataError(f"'{path}': entry '{name}' occurs {count} times: pack every file once")


def _read(path: Path, archive: ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_FILE_BYTES:
        raise DataError(
            f"'{path}': entry '{name}' would unpack to more than {MAX_FILE_BYTES / 2**20:g} MiB, the limit "
            "for one image: shrink it"
        )
    try:
        return archive.read(name)
    except (BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as err:
        raise DataError(f"'{path}': entry '{name}' is damaged ({err}): download or pack it again") from err
