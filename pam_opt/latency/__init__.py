"""Latency as a cost: layer times measured on the user's machine, and what they predict for every combination."""

from pam_opt.latency.costs import LatencyTable, latency_costs, predicted_seconds, unit_savings
from pam_opt.latency.machine import Machine
from pam_opt.latency.profile import measure_profile, read_profile
from pam_opt.latency.shapes import LayerShape, layer_shapes
from pam_opt.latency.table import Grid, Profile

__all__ = [
    "Grid",
    "LatencyTable",
    "LayerShape",
    "Machine",
    "Profile",
    "latency_costs",
    "layer_shapes",
    "measure_profile",
    "predicted_seconds",
    "read_profile",
    "unit_savings",
]
