"""What a pruning method is: a function that scores units; higher means that losing the unit hurts more."""

from collections.abc import Callable, Sequence

from torch import Tensor

from pam_opt.data import checked
from pam_opt.gradients import Place, gate_importance, loss_gradients
from pam_opt.network import MultitaskNetwork
from pam_opt.tasks import Task
from pam_opt.training import Batches, evaluation_mode

Score = Callable[[MultitaskNetwork, Batches, Sequence[Task], int], dict[Place, Tensor]]
"""(network, batches, tasks, number of batches) -> place -> (units,) scores in units of squared loss."""


def taylor_scores(
    network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task], limit: int
) -> dict[Place, Tensor]:
    """Score units by Taylor gates [1]_: ``sum over tasks of E[(g dLoss_t/dg)^2]`` at gate g = 1.

    All groups are scored alike, exclusive ones too. See `gate_importance` for the one deviation.

    .. [1] Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771
    """
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


METHODS: dict[str, Score] = {"taylor": taylor_scores}
"""Name -> scoring function. To add a pruning method, write its function in a file of its own and enter it here."""
