"""VIB: gates learn in training which units carry information, and units whose gates close go first."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from pam_opt.gradients import Place
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.gates import add_gates, fold_gates, gates_of, information_term, remove_gated_units
from pam_opt.pruning.pruner import Pruner, Scores
from pam_opt.tasks import Task
from pam_opt.training import Batches, Penalty, TrainOptions, train


class Vib(Pruner):
    """Prune by variational information bottleneck gates [1]_, PAM's P1 [2]_, in every group.

    Every unit is multiplied by ``z = mu + noise * exp(logD / 2)`` while the network trains on ``loss + kl_factor *
    sum over layers of 1/2 kl_mult H W sum over units of log(1 + mu^2 / D)``. Units with closed gates, ``logD -
    log(mu^2 + 1e-8) >= threshold``, go first and always; then those of least ``kl_mult H W mu^2 / D``. Where the
    gates have converged, ``kl_factor kl_mult H W mu^2 / D`` is the curvature of the loss in the gate, so that this
    score is in the units of a loss. In the end mu is folded into the weights that read the unit, exactly.

    Deviations from the papers: units go towards a goal in E[C] unless the schedule says ``by="rule"``; gates stand
    behind the pooling (see `Gate`); kl_mult follows a rule for all networks (see `add_gates`); exclusive units are
    pruned too unless the schedule says ``groups="shared"``; the gates may learn faster than the weights.

    Parameters
    ----------
    kl_factor : weight of the penalty; several = one for the warm-up, the first removal, the second and so on, the
        last for all that follow
    threshold : of the closing rule; 0 as published, PAM's 0.01 is the same to three digits of mu^2 / D
    rate : learning rate of the gates as a multiple of the weights' own; 1 as published

    References
    ----------
    .. [1] Dai et al., Compressing Neural Networks using the Variational Information Bottleneck, ICML 2018,
       arXiv 1802.10399
    .. [2] He et al., Pruning-Aware Merging, KDD 2021, arXiv 1905.09676
    """

    description: ClassVar[str] = "gates that learn which units carry information (VIB, PAM's P1)"
    needs_training: ClassVar[bool] = True
    has_rule: ClassVar[bool] = True

    def __init__(self, kl_factor: float | Sequence[float] = 1e-5, threshold: float = 0.0, rate: float = 30.0) -> None:
        self.kl_factors = (kl_factor,) if isinstance(kl_factor, int | float) else tuple(kl_factor)
        self.threshold, self.rate = threshold, rate
        self._trained = 0

    def start(self, network: MultitaskNetwork) -> MultitaskNetwork:
        """Put gates behind all hidden units; in a network with branches, in front of all that read them."""
        return add_gates(network)

    def train(
        self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task], steps: int, options: TrainOptions
    ) -> None:
        """Fine-tune weights and gates on the loss with the penalty."""
        gates = list(gates_of(network).values())
        factor = self.kl_factors[min(self._trained, len(self.kl_factors) - 1)]
        information = information_term(gates)
        parameters = [parameter for gate in gates for parameter in gate.parameters()]
        train(
            network,
            batches,
            tasks,
            steps,
            options,
            penalty=Penalty(lambda: factor * information(), parameters, self.rate),
        )
        self._trained += 1

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Score by what the gates have learned; the data are not looked at."""
        return {place: gate.weight * gate.signal_to_noise() for place, gate in gates_of(network).items()}

    def closed(self, network: MultitaskNetwork) -> dict[Place, Tensor]:
        """Mark the units whose gates are closed."""
        return {place: -gate.signal_to_noise().log() >= self.threshold for place, gate in gates_of(network).items()}

    def remove(self, network: MultitaskNetwork, keep: Mapping[Place, Tensor]) -> MultitaskNetwork:
        """Remove units with their gates."""
        return remove_gated_units(network, keep)

    def finish(self, network: MultitaskNetwork) -> MultitaskNetwork:
        """Fold the gates into the weights that read them."""
        return fold_gates(network)
