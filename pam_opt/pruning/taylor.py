"""Prune by Taylor importance."""

from collections.abc import Sequence

from torch import Tensor

from pam_opt.data import checked
from pam_opt.gradients import Place, gate_importance, loss_gradients
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.pruner import Pruner, Scores
from pam_opt.tasks import Task
from pam_opt.training import Batches, evaluation_mode

SCORED_BATCHES = 30
"""Mini-batches that a score is the mean over."""


class TaylorSample(Pruner):
    """Score by Taylor gates [1]_: ``sum over tasks of E[(g dLoss_t/dg)^2]`` at gate g = 1, squared sample by sample.

    All groups are scored alike, exclusive ones too. See `gate_importance` for the one deviation.

    .. [1] Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771
    """

    description = "Taylor importance of gates, squared for every sample"

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        return taylor_scores(network, batches, tasks, SCORED_BATCHES)


def taylor_scores(
    network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task], limit: int
) -> dict[Place, Tensor]:
    """Return the scores of `TaylorSample` over at most `limit` batches, in units of squared loss."""
    totals: dict[Place, Tensor] = {}
    samples = 0
    with evaluation_mode(network):
        for number, (x, targets) in enumerate(checked(batches, [task.name for task in tasks], what="train")):
            if number == limit:
                break
            samples += len(x)
            taps, gradients = loss_gradients(network, x, targets, tasks)
            for place, values in taps.items():
                # Units that no task depends on have no gradient; they score zero and go first.
                totals.setdefault(place, values.new_zeros(values.shape[1]))
            for found in gradients.values():
                for place, gradient in found.items():
                    score = gate_importance(taps[place], gradient) * len(x)
                    totals[place] = totals[place] + score
    return {place: total.double() / samples for place, total in totals.items()}
