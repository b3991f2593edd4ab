"""A process with all it starts: how much memory they hold together, and how to end them all."""

import contextlib
import time

import psutil

SEARCH_SECONDS = 0.25
"""How often children are looked for; finding them reads the table of all processes."""


class Tree:
    """A process and its descendants, those that outlive their parents included."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._members = {self._root}
        self._searched = 0.0
        self.peak = 0

    def memory(self) -> int:
        """Return the resident memory of all in bytes; the peak is kept in ``peak``."""
        if time.monotonic() - self._searched > SEARCH_SECONDS:
            self._search()
        total = sum(_resident(member) for member in self._members)
        self.peak = max(self.peak, total)
        return total

    def end(self) -> None:
        """End all of them."""
        self._search()
        self._kill(self._root)  # first, so that it starts nobody while the others are ended
        self._search()
        for member in self._members:
            self._kill(member)

    @staticmethod
    def _kill(process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            process.kill()

    def _search(self) -> None:
        for member in tuple(self._members):
            with contextlib.suppress(psutil.Error):
                self._members.update(member.children(recursive=True))
        self._searched = time.monotonic()


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0
