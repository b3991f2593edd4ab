"""The pruning methods by name. To add one, write its class in a file of its own and enter it here."""

from pam_opt.pruning.magnitude import Magnitude
from pam_opt.pruning.pruner import Pruner
from pam_opt.pruning.random import Random
from pam_opt.pruning.taylor import Taylor, TaylorPam, TaylorSample
from pam_opt.pruning.vib import Vib

METHODS: dict[str, type[Pruner]] = {
    "vib": Vib,
    "taylor": Taylor,
    "taylor-pam": TaylorPam,
    "taylor-sample": TaylorSample,
    "magnitude": Magnitude,
    "random": Random,
}
"""Name -> class."""
