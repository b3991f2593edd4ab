"""The two consoles: results on standard output, errors on standard error."""

from rich.console import Console

OUTPUT = Console()
ERRORS = Console(stderr=True)
