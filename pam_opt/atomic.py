"""Write files whole or not at all: beside the target first, then renamed."""

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pam_opt.errors import StorageError


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then rename it; on failure nothing is left behind.

    Raises
    ------
    StorageError : the folder is missing, the disk is full, no permission
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as err:
        why = err.strerror or str(err)
        raise StorageError(f"{str(path)!r} could not be written: {why}; nothing was changed there") from err
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf8")

    write_atomic(path, write)


def finite_only(data: Any) -> Any:
    """Copy plain data with None for NaN and infinities, which JSON does not have."""
    if isinstance(data, dict):
        return {key: finite_only(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite_only(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
