"""The cost of every combination of tasks, in multiply-accumulates (MACs)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pam_opt.errors import UnsupportedModel
from pam_opt.network import GroupLayer, MultitaskNetwork, Values, require_multitask, run_prelude
from pam_opt.structure import INPUT, Layer, Structure
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
        units * structure.fan_in(index, group) * layer.kernel_area * layer.size * positions[index]
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
    """Return what E[C] loses when one unit of (space, group) is removed, all others staying.

    The unit goes from all tied layers, and from what every layer reads.
    """
    pi = {group: run_probability(group, probabilities) for widths in structure.widths for group in widths}
    rates = [layer.kernel_area * layer.size * places for layer, places in zip(structure.layers, positions, strict=True)]
    saved = {(space, group): 0.0 for space in structure.spaces for group in structure.widths[space]}
    for index, layer in enumerate(structure.layers):
        if not rates[index]:
            continue
        for group, units in structure.widths[index].items():
            cost = pi[group] * rates[index]
            if index < len(structure.layers) - 1:
                saved[layer.ties, group] += cost * structure.fan_in(index, group)
            if layer.is_dense:
                for source, read in structure.sources(index, group):
                    if source == INPUT:
                        continue
                    space = structure.layers[source].ties
                    # A unit that reads itself is counted once, not as a row and a column.
                    left = units - 1 if (space, read) == (layer.ties, group) else units
                    saved[space, read] += cost * left
    return saved


def output_positions(structure: Structure, input_shape: Sequence[int] | None = None) -> list[int]:
    """Count the output positions of every layer, by running one unit per layer on the meta device.

    That is H x W of a map, tokens of a sequence, tokens x tokens of an attention, otherwise 1.

    Raises
    ------
    UnsupportedModel : the shape is missing, or does not fit
    """
    shape = input_shape if input_shape is not None else structure.input_shape
    if shape is None:
        raise UnsupportedModel("the network does not remember its input shape; give input_shape=(C, H, W)")
    counts: list[int] = []
    one = frozenset({"one"})
    narrow = replace(structure, tasks=("one",), widths=({one: 1},) * len(structure.layers), input_shape=None)
    try:
        with torch.device("meta"), torch.no_grad():
            network = MultitaskNetwork(narrow).eval()
            values: Values = {INPUT: {one: run_prelude(structure, network.prelude, torch.empty(1, *shape))}}
            for index, layer in enumerate(structure.layers):
                counts.append(_positions(layer, network.block(index, one), network.inputs_of(index, one, values)))
                values = network.advance(index, values)
    except (RuntimeError, ValueError, TypeError, IndexError) as err:
        raise UnsupportedModel(f"input shape {shape} does not fit the network: {err}") from err
    if 0 in counts:
        raise UnsupportedModel(f"input shape {shape} does not fit the network: it leaves a layer without positions")
    return counts


def _positions(layer: Layer, block: GroupLayer, inputs: Tensor | Sequence[Tensor]) -> int:
    if layer.kind == "attention":
        return inputs[0].shape[1] * inputs[1].shape[1]
    shape = block.pre(inputs).shape
    return shape[1:-1].numel() if layer.kind in ("linear", "layer_norm") else shape[2:].numel()
