"""The optimisation problems, one file each."""

from pam_opt_solvers.problems.pairing import Feature, Pairing

__all__ = ["Feature", "Pairing"]
