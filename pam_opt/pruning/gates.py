"""Gates that learn which units carry information: a unit's signal times a random factor of learned mean and variance.

[1] Dai, Zhu, Guo, Wipf, Compressing Neural Networks using the Variational Information Bottleneck, ICML 2018,
arXiv 1802.10399
"""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from pam_opt.gradients import Place
from pam_opt.macs import output_positions
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.reader_gates import attach_to_readers, gates_at_readers
from pam_opt.structure import INPUT, Source
from pam_opt.surgery import remove_units

_SMALL = 1e-8


class Gate(nn.Module):
    """Multiply every unit of a group by ``z = mu + noise * exp(logD / 2)`` in training, by ``mu`` otherwise [1].

    One number is drawn for each unit and sample and serves all positions of a map. The gate stands behind pooling
    and flatten; the published one stands between activation and pooling. For z >= 0 both compute the same; only
    behind the pooling a negative mu still folds into the weights that read it.

    Parameters
    ----------
    mu, log_variance : (units,) initial values
    weight : what a unit's information counts in the penalty, ``kl_mult * H * W``
    """

    def __init__(self, mu: Tensor, log_variance: Tensor, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.mu, self.log_variance = nn.Parameter(mu), nn.Parameter(log_variance)

    @classmethod
    def initial(cls, units: int, weight: float) -> "Gate":
        """Draw the published initial values: mu ~ N(1, 0.01), logD ~ N(-9, 0.01) by mean and standard deviation."""
        return cls(1.0 + 0.01 * torch.randn(units), -9.0 + 0.01 * torch.randn(units), weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the units of x, (N, units, H, W) or (N, units * features)."""
        z = self.draw(len(x)) if self.training else self.mu
        if x.shape[1:] == self.mu.shape:
            return x * z
        return (x.reshape(len(x), len(self.mu), -1) * z.unsqueeze(-1)).reshape(x.shape)

    def draw(self, samples: int) -> Tensor:
        """Return the factors of every sample, (samples, units), in training; otherwise (1, units)."""
        if not self.training:
            return self.mu.unsqueeze(0)
        noise = torch.randn(samples, len(self.mu), dtype=self.mu.dtype, device=self.mu.device)
        return torch.addcmul(self.mu, noise, (0.5 * self.log_variance).exp())

    def signal_to_noise(self) -> Tensor:
        """Return mu^2 / D of every unit, (units,), above 0."""
        return (self.mu.detach().double().square() + _SMALL) * (-self.log_variance.detach().double()).exp()

    def kept(self, mask: Tensor) -> "Gate":
        """Return the gate of the units that stay."""
        return Gate(self.mu.detach()[mask].clone(), self.log_variance.detach()[mask].clone(), self.weight)


def information_term(gates: Collection[Gate]) -> Callable[[], Tensor]:
    """Return the function that computes the penalty of gates as they are when it is called [1].

    ``sum over layers of 1/2 kl_mult H W sum over units of log(1 + mu^2 / (D + 1e-8))``, a scalar.
    """
    half = torch.cat([torch.full_like(gate.mu, 0.5 * gate.weight, requires_grad=False) for gate in gates])

    def term() -> Tensor:
        mu = torch.cat([gate.mu for gate in gates])
        variance = torch.cat([gate.log_variance for gate in gates]).exp()
        return torch.dot(half, torch.log1p(mu.square() / (variance + _SMALL)))

    return term


def add_gates(network: MultitaskNetwork) -> MultitaskNetwork:
    """Put a gate behind every hidden block, in place, and return the network.

    In a network with branches the gates stand where units are read, see `reader_gates`; units that are kept per
    task have none. kl_mult is ``1 / sqrt(H W)`` at H x W output positions: the published 1/32, 1/16, 1/8, 1/4, 1/2 of
    the VGG stages on 32 x 32 images, and 1 for linear layers.
    """
    structure, positions = network.structure, output_positions(network.structure)
    kept = {layer.ties for layer in structure.layers if layer.kept}
    places = [(space, group) for space in structure.spaces if space not in kept for group in structure.widths[space]]
    gates = {place: Gate.initial(structure.units(*place), positions[place[0]] ** 0.5) for place in places}
    return _attach(network, gates).train(network.training)


def gates_of(network: MultitaskNetwork) -> dict[Place, Gate]:
    """Collect the gates of a network."""
    at_blocks = {
        (index, group): getattr(block, "gate", None)
        for index in range(len(network.layers) - 1)
        for group, block in network.blocks(index)
    }
    found = {**at_blocks, **gates_at_readers(network)}
    return {place: gate for place, gate in found.items() if isinstance(gate, Gate)}


def remove_gated_units(network: MultitaskNetwork, keep: Mapping[Place, Tensor]) -> MultitaskNetwork:
    """Remove units with their gates; copies of the other gates keep what they have learned."""
    smaller = remove_units(network, keep)
    every = {place: torch.ones(len(gate.mu), dtype=torch.bool) for place, gate in gates_of(network).items()}
    gates = {place: gate.kept(keep.get(place, every[place])) for place, gate in gates_of(network).items()}
    return _attach(smaller, {place: gate for place, gate in gates.items() if len(gate.mu)}).train(network.training)


@torch.no_grad()
def fold_gates(network: MultitaskNetwork) -> MultitaskNetwork:
    """Return the plain network of the same outputs in evaluation mode: readers' weights times mu of what they read."""
    gates = gates_of(network)
    plain = remove_units(network, {})
    for index, layer in enumerate(plain.structure.layers):
        for group, block in plain.blocks(index):
            if layer.is_dense and gates:
                factor = torch.cat([_factor(plain, gates, source) for source in plain.structure.sources(index, group)])
                weight = block.operation.weight
                weight.view(len(weight), len(factor), layer.kernel_area).mul_(factor[:, None])
    return plain


def _factor(network: MultitaskNetwork, gates: Mapping[Place, Gate], source: Source) -> Tensor:
    """Return what readers multiply the units of one source by, (units,); 1 where there is no gate."""
    index, group = source
    gate = None if index == INPUT else gates.get((network.structure.layers[index].ties, group))
    return torch.ones(network.structure.units(index, group)) if gate is None else gate.mu


def _attach(network: MultitaskNetwork, gates: Mapping[Place, Gate]) -> MultitaskNetwork:
    if not network.structure.is_chain:
        attach_to_readers(network, gates)
        return network
    for place, gate in gates.items():
        block = network.block(*place)
        block.add_module("gate", gate)
        # A function of the block, not a closure over the gate: a copy of the network runs gates of its own.
        block.register_forward_hook(_run_gate)
    return network


def _run_gate(block: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return block.get_submodule("gate")(output)
