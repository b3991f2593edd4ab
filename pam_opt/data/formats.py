"""The forms that data come in. A new one is a file that defines a ``Format``, and one line here."""

import os
from pathlib import Path

from pam_opt.data import digits, folder, npz
from pam_opt.data.raw import Format
from pam_opt.errors import DataError

FORMATS: tuple[Format, ...] = (
    digits.FORMAT,
    npz.FORMAT,
    folder.DIRECTORY_FORMAT,
    folder.ZIP_FORMAT,
)


def find_format(source: str | os.PathLike[str]) -> tuple[Path, Format]:
    """Find the format of a source.

    Raises
    ------
    DataError
        Nothing is there, or it has none of the known forms; the message lists them.
    """
    text = os.path.expanduser(os.fspath(source))
    for data_format in FORMATS:
        if data_format.accepts(text):
            return Path(text), data_format
    problem = "has no form that can be loaded" if os.path.exists(text) else "does not exist"
    forms = "; ".join(data_format.form for data_format in FORMATS)
    raise DataError(f"data source '{text}' {problem}. Give one of: {forms}")
