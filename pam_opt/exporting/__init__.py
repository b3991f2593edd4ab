"""Networks for other runtimes: ONNX and torch.export files, checked against the network before they are there."""

from pam_opt.exporting.api import Exported, export, export_combinations
from pam_opt.exporting.formats import FORMATS

__all__ = ["FORMATS", "Exported", "export", "export_combinations"]
