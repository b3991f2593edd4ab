"""Errors of the network side; the base class and the solver errors come from ``pam_opt_solvers``."""

from pam_opt_solvers.errors import PamOptError, ProblemError, SolverFailed, SolverNotFound, SolverUnsuitable

__all__ = [
    "ConfigError",
    "DataError",
    "ExportFailed",
    "PamOptError",
    "PlanError",
    "ProblemError",
    "SolverFailed",
    "SolverNotFound",
    "SolverUnsuitable",
    "StorageError",
    "TaskError",
    "UnsupportedModel",
]


class UnsupportedModel(PamOptError, ValueError):
    """A module cannot be traced, or parents do not match; the message names the node at fault."""


class TaskError(PamOptError, ValueError):
    """Task definitions or task names are inconsistent."""


class DataError(PamOptError, ValueError):
    """A dataset or a batch is unusable: missing targets, NaN, a damaged file."""


class PlanError(PamOptError, ValueError):
    """A plan, or a request for one, is impossible."""


class ConfigError(PamOptError, ValueError):
    """A configuration file has unknown keys or impossible values."""


class StorageError(PamOptError, OSError):
    """A file could not be written or is not what it claims to be."""


class ExportFailed(PamOptError, RuntimeError):
    """A network could not be written in another format, or what was written computes something else."""
