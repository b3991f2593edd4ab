"""Packages that only some backends need."""

import importlib
from types import ModuleType

from pam_opt.errors import ConfigError


def require(module: str, backend: str, extra: str) -> ModuleType:
    """Import a package that a backend needs.

    Raises
    ------
    ConfigError : it is not installed; says how to
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise ConfigError(
            f'backend {backend!r} needs the package {module!r}, which is not installed: pip install "pam-opt[{extra}]"'
        ) from err
