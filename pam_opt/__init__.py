"""Merge single-task PyTorch networks into one multitask network and prune it for every combination of tasks.

The data flows one way::

    parents + data -> measure -> plan -> merge -> prune -> costs, save

Start with `plan`, `merge`, `prune` and `costs`; the decisions inside are solved by ``pam_opt_solvers``.
"""

from pam_opt.errors import PamOptError
from pam_opt.information.options import Information
from pam_opt.latency import LatencyTable, latency_costs
from pam_opt.macs import CostTable, costs
from pam_opt.measuring import Statistics, measure
from pam_opt.merging import merge, single
from pam_opt.network import MultitaskNetwork
from pam_opt.planning import frontier, plan
from pam_opt.planning.frontier import FrontierPoint, PlanFrontier
from pam_opt.plans import LayerPlan, Plan
from pam_opt.pruning import PruneStep, Schedule, prune
from pam_opt.running import CompiledNetwork, compiled
from pam_opt.storage import load, save
from pam_opt.tasks import Task
from pam_opt.training import TrainOptions, evaluate, train
from pam_opt.zipping import Zipped, zip_networks

__version__ = "0.1.0"

__all__ = [
    "CompiledNetwork",
    "CostTable",
    "FrontierPoint",
    "Information",
    "LatencyTable",
    "LayerPlan",
    "MultitaskNetwork",
    "PamOptError",
    "Plan",
    "PlanFrontier",
    "PruneStep",
    "Schedule",
    "Statistics",
    "Task",
    "TrainOptions",
    "Zipped",
    "compiled",
    "costs",
    "evaluate",
    "frontier",
    "latency_costs",
    "load",
    "measure",
    "merge",
    "plan",
    "prune",
    "save",
    "single",
    "train",
    "zip_networks",
]
