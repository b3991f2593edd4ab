"""Instance files: named arrays in one ``.npz``, written whole or not at all, never unpickled."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import PamOptError, ProblemError


def write_npz(path: str | os.PathLike[str], schema: str, arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write arrays to exactly ``path`` by way of a temporary file beside it: no crash leaves half a file.

    Parameters
    ----------
    path : where to write; no suffix is added
    schema : name and version of the format, stored as the array ``schema``
    arrays : name to array, any shape; no object arrays
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                members: dict[str, Any] = {"schema": np.array(schema), **arrays}
                np.savez(file, **members)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as err:
        raise PamOptError(f"cannot write {target}: {err}; an older file of that name is unchanged") from err
    return target


def read_npz(path: str | os.PathLike[str], schema: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file, refusing pickles, damage and other schemas; a file without a schema is taken."""
    arrays = _read(path)
    found = _schema_of(arrays)
    if found not in (None, schema):
        raise ProblemError(f"{path} holds the schema {found!r}; this reads {schema!r}")
    return {name: array for name, array in arrays.items() if name != "schema"}


def read_schema(path: str | os.PathLike[str]) -> str | None:
    """Return the schema that a file states; None = none."""
    return _schema_of(_read(path, only="schema"))


def _read(path: str | os.PathLike[str], only: str | None = None) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ProblemError(f"{path} is not an .npz archive; write it with save() or numpy.savez")
            return {name: file[name] for name in file.files if only in (None, name)}
    except ProblemError:
        raise
    except FileNotFoundError as err:
        raise ProblemError(f"cannot read {path}: there is no such file") from err
    except Exception as err:  # bytes that are not what they claim raise nearly anything in numpy and zipfile
        raise ProblemError(f"cannot read {path}: {type(err).__name__}: {err}; write it again with save()") from err


def _schema_of(arrays: Mapping[str, NDArray[Any]]) -> str | None:
    return str(arrays["schema"]) if "schema" in arrays else None
