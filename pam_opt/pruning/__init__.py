"""Pruning for every combination of tasks."""

from pam_opt.pruning.loop import PruneStep, prune
from pam_opt.pruning.methods import METHODS
from pam_opt.pruning.pruner import Pruner
from pam_opt.pruning.schedule import Schedule

__all__ = ["METHODS", "PruneStep", "Pruner", "Schedule", "prune"]
