"""What layer times depend on besides the layer: processor, threads, torch, batch size."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from pam_opt.errors import ConfigError


@dataclass(frozen=True)
class Machine:
    """Name the conditions under which times were measured; times of others do not count.

    Parameters
    ----------
    processor : its name
    cores : of the machine
    threads : that torch uses
    torch : its version
    batch : samples per run
    """

    processor: str
    cores: int
    threads: int
    torch: str
    batch: int

    @classmethod
    def here(cls, batch: int = 1, threads: int = 1) -> "Machine":
        """Describe this machine.

        Raises
        ------
        ConfigError : a batch size or number of threads below 1
        """
        if batch < 1 or threads < 1:
            raise ConfigError(f"batch {batch} and threads {threads}: both must be at least 1")
        return cls(_processor(), os.cpu_count() or 1, threads, torch.__version__, batch)

    @property
    def file_name(self) -> str:
        """Name the file of the machine's profile."""
        parts = (self.processor, f"{self.cores}cores", f"{self.threads}threads", f"batch{self.batch}", self.torch)
        return re.sub(r"[^A-Za-z0-9.+]+", "-", "-".join(parts)) + ".json"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf8"), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()
