"""The cost of every combination of tasks, in multiply-accumulates (MACs)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pam_opt.errors import UnsupportedModel
from pam_opt.network import GroupLayer, MultitaskNetwork, require_multitask, run_prelude
from pam_opt.structure import Structure
from pam_opt.tasks import CombinationWeights, Group, check_known, combination_key, combinations, distribution


@dataclass(frozen=True)
class CostTable:
    """Hold what every combination of tasks costs for one sample.

    Parameters
    ----------
    macs : combination -> MACs of convolutions and linear layers
    expected : E[C], the mean over `probabilities`
    probabilities : combination -> probability
    """

    macs: Mapping[Group, int]
    expected: float
    probabilities: Mapping[Group, float]

    def __str__(self) -> str:
        rows = [f"{combination_key(combination)}: {macs:,}" for combination, macs in self.macs.items()]
        return "\n".join([*rows, f"expected: {self.expected:,.0f}"])


def costs(
    network: MultitaskNetwork,
    input_shape: Sequence[int] | None = None,
    *,
    combinations: CombinationWeights | None = None,
) -> CostTable:
    """Count the MACs of every combination of tasks.

    With n_l(g) units of group g in layer l, k_l MACs per (input unit, output unit):
    ``C(T) = sum_l k_l * sum_{g meets T} n_l(g) * sum_{h contains g} n_{l-1}(h)``.
    Equals ``torch.utils.flop_counter`` / 2 of a run of that combination.

    Parameters
    ----------
    input_shape : shape of one sample, such as (1, 28, 28); default: the shape that the network remembers
    combinations : combination -> weight for the expectation; default: uniform over all 2^K - 1

    Raises
    ------
    UnsupportedModel : no `MultitaskNetwork`; an input shape that is missing or does not fit the network
    TaskError : unknown task names in `combinations`
    """
    require_multitask(network, "costs")
    structure = network.structure
    positions = output_positions(structure, input_shape)
    probabilities = distribution(structure.tasks, combinations)
    every = all_combinations(structure)
    macs = {combination: combination_macs(structure, positions, combination) for combination in every}
    expected = sum(p * macs[combination] for combination, p in probabilities.items())
    return CostTable(macs, expected, probabilities)


def all_combinations(structure: Structure) -> list[Group]:
    """List every combination of the structure's tasks."""
    return combinations(structure.tasks)


def combination_macs(structure: Structure, positions: Sequence[int], combination: Iterable[str]) -> int:
    """Count the MACs of one combination; `positions` as from `output_positions`."""
    active = check_known(combination, structure.tasks)
    return sum(
        units * structure.fan_in(index, group) * layer.kernel_area * positions[index]
        for index, layer in enumerate(structure.layers)
        for group, units in structure.widths[index].items()
        if group & active
    )


def run_probability(group: Group, probabilities: Mapping[Group, float]) -> float:
    """Return pi(g), the probability that a unit of group g is computed."""
    return sum(p for combination, p in probabilities.items() if combination & group)


def unit_macs(
    structure: Structure, positions: Sequence[int], probabilities: Mapping[Group, float]
) -> dict[tuple[int, Group], float]:
    """Return what E[C] loses when one unit of (layer index, group) is removed, all others staying."""
    pi = {group: run_probability(group, probabilities) for widths in structure.widths for group in widths}
    saved: dict[tuple[int, Group], float] = {}
    for index, layer in enumerate(structure.layers[:-1]):
        reader = structure.layers[index + 1]
        for group in structure.widths[index]:
            own = pi[group] * layer.kernel_area * positions[index] * structure.fan_in(index, group)
            readers = sum(pi[g] * units for g, units in structure.widths[index + 1].items() if g <= group)
            saved[index, group] = own + reader.kernel_area * positions[index + 1] * readers
    return saved


def output_positions(structure: Structure, input_shape: Sequence[int] | None = None) -> list[int]:
    """Count the output positions (H x W, or 1) of every layer, by running one unit per layer on the meta device.

    Raises
    ------
    UnsupportedModel : the shape is missing, or does not fit
    """
    shape = input_shape if input_shape is not None else structure.input_shape
    if shape is None:
        raise UnsupportedModel("the network does not remember its input shape; give input_shape=(C, H, W)")
    counts: list[int] = []
    inputs = structure.inputs
    try:
        with torch.device("meta"), torch.no_grad():
            prelude = nn.Sequential(*(operation.build(structure.inputs) for operation in structure.prelude))
            x = run_prelude(structure, prelude, torch.empty(1, *shape))
            for layer in structure.layers:
                block = GroupLayer(layer, inputs, 1).eval()
                counts.append(block.pre(x).shape[2:].numel())
                x, inputs = block(x), 1
    except (RuntimeError, ValueError, TypeError, IndexError) as err:
        raise UnsupportedModel(f"input shape {shape} does not fit the network: {err}") from err
    if 0 in counts:
        raise UnsupportedModel(f"input shape {shape} does not fit the network: it leaves a layer without positions")
    return counts
