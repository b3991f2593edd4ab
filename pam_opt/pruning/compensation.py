"""Make up for a removal without training: what is left is fitted to what was there before.

Layer by layer, ridge least squares of the units' pre-activations before the removal on the inputs that are left, as
`pam_opt.merge` fits a merged network. Reconstruction after pruning channels goes back to [1] and [2]. Deviation: all
layers are fitted in order, each on the smaller network's own activations, with ridges chosen on held-out samples.

[1] He, Zhang, Sun, Channel Pruning for Accelerating Very Deep Neural Networks, ICCV 2017, arXiv 1707.06168
[2] Luo, Wu, Lin, ThiNet, ICCV 2017, arXiv 1707.06342
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from pam_opt.gradients import Place
from pam_opt.merging.refit import Aim, Rows, fit_to
from pam_opt.network import MultitaskNetwork
from pam_opt.structure import Layer
from pam_opt.tasks import Group
from pam_opt.training import Batches


def compensate(
    smaller: MultitaskNetwork, network: MultitaskNetwork, keep: Mapping[Place, Tensor], calibration: Batches
) -> None:
    """Fit, in place, the smaller network to the one that it was cut out of.

    Parameters
    ----------
    keep : as in `pam_opt.surgery.remove_units`, which made `smaller` from `network`
    calibration : batches (x, targets); targets are not used
    """
    fit_to(smaller, [network], [_kept(layer, keep) for layer in network.structure.layers], calibration)


def _kept(layer: Layer, keep: Mapping[Place, Tensor]) -> Aim:
    """Aim at the units of a layer that are kept, as they were."""

    def aim(group: Group, rows: Sequence[Rows]) -> Tensor:
        (before,) = rows
        mask = keep.get((layer.ties, group))
        return before[group] if mask is None else before[group][:, mask.repeat_interleave(layer.size)]

    return aim
