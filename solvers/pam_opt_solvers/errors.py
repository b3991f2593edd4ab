"""The one error family: errors a user can cause are ``PamOptError`` and say what, where and what to do."""


class PamOptError(Exception):
    """Base of every error raised on purpose by ``pam_opt`` and ``pam_opt_solvers``."""


class ProblemError(PamOptError, ValueError):
    """A problem is malformed: wrong shape, NaN, an impossible count, a damaged instance file."""


class SolverNotFound(PamOptError, LookupError):
    """No solver has that name, or its backend is not installed."""


class SolverUnsuitable(PamOptError, ValueError):
    """The solver cannot express this problem; the message names solvers that can."""


class SolverFailed(PamOptError, RuntimeError):
    """A backend broke, or returned a decision that does not satisfy the problem."""
