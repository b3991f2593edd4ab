"""Information of sets of units about a task: interchangeable estimators behind one interface, in `ESTIMATORS`.

To add an estimator: write a file with a subclass of `Estimator` and of `Growth`, and enter it below.
"""

from pam_opt.information.binned import BinnedInformation
from pam_opt.information.estimator import Estimator, Growth
from pam_opt.information.gaussian import GaussianInformation
from pam_opt.information.kde import KernelInformation

__all__ = ["ESTIMATORS", "BinnedInformation", "Estimator", "GaussianInformation", "Growth", "KernelInformation"]

ESTIMATORS: dict[str, type[Estimator]] = {
    "kde": KernelInformation,
    "gaussian": GaussianInformation,
    "binned": BinnedInformation,
}
