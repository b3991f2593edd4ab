"""How long work reports that it goes on, without knowing who listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Update = Callable[[float, float], None]
"""(done, total)."""


class Progress:
    """Report nothing; the command line has a child class that draws."""

    @contextmanager
    def stage(self, description: str) -> Iterator[Update]:
        """Report one stage; call what it gives with (done, total)."""
        yield lambda done, total: None

    def say(self, text: str) -> None:
        """Report a fact in one line."""
