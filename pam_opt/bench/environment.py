"""What a cell was computed with: the study's record and the commit."""

import functools
import subprocess
from pathlib import Path
from typing import Any

from pam_opt.study.environment import environment


@functools.cache
def cell_environment() -> dict[str, Any]:
    """Return the fields of a record that say where it ran."""
    found = environment()
    return {
        "processor": found["processor"],
        "cores": found["cores"] or 0,
        "python": found["python"],
        "platform": found["platform"],
        "packages": {name: version for name, version in found["packages"].items() if version},
        "commit": commit(),
    }


def commit(folder: Path = Path(__file__).parent) -> str:
    """Return the commit of the checkout that this package runs from, ``+`` if changed since; empty without one."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        # The checkout may be another project's, with this package installed inside.
        if not _git(folder, "ls-files", Path(__file__).name):
            return ""
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
