"""Published ways to prune, put together from a pruner, a schedule and the training in between.

Facts that the sources give are named with each; what they leave open is called reconstructed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pam_opt.pruning.pruner import Pruner
from pam_opt.pruning.schedule import Schedule
from pam_opt.pruning.taylor import Taylor, TaylorPam
from pam_opt.pruning.vib import Vib
from pam_opt.training import TrainOptions


@dataclass(frozen=True)
class Preset:
    """Hold what `pam_opt.prune` needs: ``prune(..., method=p.pruner(), schedule=p.schedule, training=p.training)``.

    Parameters
    ----------
    pruner : makes a new pruner for each run
    training : of the warm-up and of each removal; the last for all that follow
    """

    pruner: Callable[[], Pruner]
    schedule: Schedule
    training: tuple[TrainOptions, ...]


def _sgd(rate: float) -> TrainOptions:
    return TrainOptions(rate, "sgd", "constant")


def pam_p1_lenet5(epoch_steps: int) -> Preset:
    """Return PAM's P1 for LeNet-5 [1]_: VIB gates, no goal, what their threshold closes goes.

    Published: KL factor 3.1e-6 for 30 epochs at 0.01, then 1e-7 for 60 more at 0.01, 0.005 and 0.001; threshold 0.01;
    momentum SGD; shared units only. Reconstructed: 20 epochs at each of the last three rates, closed units leave
    before each of them (published: masked at the end), Nesterov momentum 0.9, and gates learn 30 times as fast as
    the weights (published: as fast). Left out: epochs that train the tasks in turn.

    Parameters
    ----------
    epoch_steps : batches of one epoch

    .. [1] He et al., Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
    """
    schedule = Schedule(
        max_drop=None, by="rule", steps=20 * epoch_steps, warm_up=30 * epoch_steps, removals=3, groups="shared"
    )
    return Preset(
        lambda: Vib((3.1e-6, 1e-7), threshold=0.01), schedule, (_sgd(0.01), _sgd(0.01), _sgd(0.005), _sgd(0.001))
    )


def pam_p2_lenet5(epoch_steps: int) -> Preset:
    """Return PAM's P2 for LeNet-5 [1]_: 15 times the 9 % of shared units that score lowest, of those left.

    Published: mean of 10 mini-batches of |dLoss/dg|, 9 %, 15 iterations, shared units only. Reconstructed: one epoch of
    fine-tuning after each removal, momentum SGD at 0.01.

    Parameters
    ----------
    epoch_steps : batches of one epoch

    .. [1] He et al., Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
    """
    schedule = Schedule(max_drop=None, fraction=0.09, by="units", steps=epoch_steps, removals=15, groups="shared")
    return Preset(TaylorPam, schedule, (_sgd(0.01),))


def cvpr2019(removals: int) -> Preset:
    """Return the Taylor pruning of ResNet-50 [1]_: the lowest units, over all layers, every 30 mini-batches.

    Published: 30 mini-batches, momentum 0.9, 100 units a time (about 1 to 2 % of the network's). Reconstructed: 1.5 %
    of the units a time, so that networks of any size fit, and momentum SGD at 0.001.

    Parameters
    ----------
    removals : how many

    .. [1] Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771
    """
    schedule = Schedule(max_drop=None, fraction=0.015, by="units", steps=30, removals=removals)
    return Preset(Taylor, schedule, (_sgd(0.001),))
