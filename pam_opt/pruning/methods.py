"""The pruning methods by name. To add one, write its class in a file of its own and enter it here."""

from pam_opt.pruning.pruner import Pruner
from pam_opt.pruning.taylor import TaylorSample

METHODS: dict[str, type[Pruner]] = {"taylor": TaylorSample}
"""Name -> class."""
