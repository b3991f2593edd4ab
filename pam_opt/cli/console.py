"""The two consoles: results on standard output, errors on standard error, on terminals of any encoding."""

import codecs
import io
import sys

from rich.console import Console

OUTPUT = Console()
ERRORS = Console(stderr=True)

_SPELLED = {"±": "+/-", "≥": ">=", "≤": "<=", "×": "x", "…": "...", "–": "-", "—": "-", "’": "'"}


def spell_out() -> None:
    """Let standard output and error write what their encoding lacks in other letters instead of failing."""
    codecs.register_error("pam_opt.spell", _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="pam_opt.spell")


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Spell out what cannot be encoded; a letter of unknown spelling becomes a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_SPELLED.get(letter, "?") for letter in letters), error.end
