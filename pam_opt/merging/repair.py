"""REPAIR: give merged units the mean and the spread that their members had, by scaling and shifting them [1].

Averaged units vary less than the units that they were made from, and more so from layer to layer. Layer by layer, on
the merged network's own activations, every merged unit's pre-activation is mapped so that its mean and standard
deviation are the share-weighted means of its members'. The map is folded into the weights, and into batch norms that
follow.

[1] Jordan et al., REPAIR: REnormalizing Permuted Activations for Interpolation Repair, ICLR 2023, arXiv 2211.08403
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pam_opt.folding import Folded, NormState, fold, norm_state, unfold
from pam_opt.merging.rows import unit_rows
from pam_opt.merging.streams import Stream, pre_activations
from pam_opt.merging.weights import Mix
from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.plans import LayerPlan
from pam_opt.structure import Layer
from pam_opt.tasks import Group
from pam_opt.training import Batches, evaluation_mode

_SMALL = 1e-6
"""Standard deviation, relative to the wanted one, below which a channel counts as constant and is only shifted."""


@torch.no_grad()
def rescale(
    network: MultitaskNetwork,
    parents: Mapping[str, MultitaskNetwork],
    layers: Sequence[LayerPlan],
    calibration: Batches,
) -> None:
    """Map the hidden units of a merged network in place, so that they have their members' means and spreads.

    Parameters
    ----------
    network : merged, in evaluation mode
    parents : task -> network of one task, in the order of the plan's tasks
    layers : the plan of every layer, heads included; heads stay as they are
    calibration : batches (x, targets); targets are not used
    """
    teachers = list(parents.values())
    with evaluation_mode(network, *teachers):
        batches = Stream.all_of(network, teachers, calibration)
        for index, layer in enumerate(network.structure.layers[:-1]):
            ours, theirs = _Moments(layer), [_Moments(layer) for _ in teachers]
            for batch in batches:
                for moments, seen in zip(theirs, batch.teach(teachers, index), strict=True):
                    moments.add(seen)
                if layer.has_weights:
                    ours.add(pre_activations(network, index, batch.fitted))
            if layer.has_weights:
                for group, block in network.blocks(index):
                    mix = Mix.of(layers[index], layers[index].rows(group))
                    _map(block, layer, ours.of(group), _mixed(mix, layer, [moments.only for moments in theirs]))
            for batch in batches:
                batch.fitted = network.advance(index, batch.fitted)


class _Moments:
    """Sums of a layer's channels over batches."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.rows = 0
        self.sums: dict[Group, tuple[Tensor, Tensor]] = {}

    def add(self, seen: Mapping[Group, Tensor]) -> None:
        for group, values in seen.items():
            rows = unit_rows(values, self.layer, None).double()
            first, second = self.sums.get(group, (torch.zeros(()), torch.zeros(())))
            self.sums[group] = first + rows.sum(0), second + rows.square().sum(0)
            self.rows += len(rows) if group == next(iter(seen)) else 0

    def of(self, group: Group) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, (channels,)."""
        first, second = self.sums[group]
        mean = first / self.rows
        return mean, (second / self.rows - mean.square()).clamp(min=0).sqrt()

    @property
    def only(self) -> tuple[Tensor, Tensor]:
        """The moments of a network of one task."""
        (group,) = self.sums
        return self.of(group)


def _mixed(mix: Mix, layer: Layer, moments: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Average the members' means and standard deviations."""
    means, spreads = zip(*moments, strict=True)
    mean, spread = (
        mix.average([values.unflatten(0, (-1, layer.size)) for values in part]).flatten() for part in (means, spreads)
    )
    return mean, spread


def _map(block: GroupLayer, layer: Layer, now: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    (mean, spread), (wanted_mean, wanted_spread) = now, wanted
    varies = spread > _SMALL * wanted_spread
    scale = torch.where(varies, wanted_spread / spread.clamp(min=1e-300), torch.ones_like(spread))
    folded, state = fold(block, layer), norm_state(block)
    bias = (folded.bias - mean) * scale + wanted_mean
    if layer.norm is None and not layer.bias:
        bias = torch.zeros_like(bias)  # there is nothing that could shift it
    if state is not None:
        state = NormState(state.variance, wanted_spread, wanted_mean)
    unfold(block, Folded(folded.weight * scale[:, None, None], bias), state)
