"""What a profile predicts: seconds of every combination, and what the loss of one unit saves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pam_opt.latency.shapes import layer_shapes
from pam_opt.latency.table import Profile
from pam_opt.macs import all_combinations
from pam_opt.network import MultitaskNetwork, require_multitask
from pam_opt.running import Block, arrange
from pam_opt.structure import Structure
from pam_opt.tasks import CombinationWeights, Group, check_known, combination_key, distribution


@dataclass(frozen=True)
class LatencyTable:
    """Hold what every combination of tasks is predicted to take for one batch.

    Parameters
    ----------
    seconds : combination -> seconds of a batch, the calls of `pam_opt.running` one after the other
    expected : the mean over `probabilities`
    probabilities : combination -> probability
    """

    seconds: Mapping[Group, float]
    expected: float
    probabilities: Mapping[Group, float]

    def __str__(self) -> str:
        rows = [f"{combination_key(one)}: {1e3 * seconds:.3f} ms" for one, seconds in self.seconds.items()]
        return "\n".join([*rows, f"expected: {1e3 * self.expected:.3f} ms"])


def latency_costs(
    network: MultitaskNetwork,
    profile: Profile,
    input_shape: Sequence[int] | None = None,
    *,
    combinations: CombinationWeights | None = None,
) -> LatencyTable:
    """Predict the seconds of every combination of tasks.

    ``seconds(T) = sum over the calls of T's program of the table's time at (units read, units written)``. What lies
    between calls, such as laying units beside each other, is not in the table.

    Raises
    ------
    UnsupportedModel : no `MultitaskNetwork`; an input shape that is missing or does not fit
    ConfigError : a layer that the profile has no times of
    TaskError : unknown task names in `combinations`
    """
    require_multitask(network, "latency_costs")
    structure = network.structure
    keys = [shape.key for shape in layer_shapes(structure, input_shape)]
    probabilities = distribution(structure.tasks, combinations)
    seconds = {one: predicted_seconds(structure, keys, profile, one) for one in all_combinations(structure)}
    return LatencyTable(seconds, sum(p * seconds[one] for one, p in probabilities.items()), probabilities)


def predicted_seconds(structure: Structure, keys: Sequence[str], profile: Profile, combination: Iterable[str]) -> float:
    """Predict one combination; `keys` as of `layer_shapes`."""
    active = check_known(combination, structure.tasks)
    arranged = arrange(structure, active)
    return sum(_layer_seconds(structure, keys, profile, index, blocks) for index, blocks in enumerate(arranged))


def unit_savings(
    structure: Structure, keys: Sequence[str], profile: Profile, probabilities: Mapping[Group, float]
) -> dict[tuple[int, Group], float]:
    """Return the expected seconds that the loss of one unit of (space, group) saves, all others staying.

    The counterpart of `pam_opt.macs.unit_macs`: the unit goes from all tied layers, and from what every layer reads.
    """
    saved = {(space, group): 0.0 for space in structure.spaces for group in structure.widths[space]}
    for combination, probability in probabilities.items():
        arranged = arrange(structure, combination)
        now = [_layer_seconds(structure, keys, profile, index, blocks) for index, blocks in enumerate(arranged)]
        for space, group in saved:
            if not group & combination:
                continue
            smaller = _without(structure, space, group)
            for index in _touched(structure, space):
                then = _layer_seconds(smaller, keys, profile, index, arranged[index])
                saved[space, group] += probability * (now[index] - then)
    return saved


def _layer_seconds(
    structure: Structure, keys: Sequence[str], profile: Profile, index: int, blocks: Sequence[Block]
) -> float:
    layer, total = structure.layers[index], 0.0
    for block in blocks:
        written = sum(structure.units(index, group) for group in block.groups)
        read = sum(structure.units(*source) for source in block.sources) if layer.is_dense else 1
        if written and read:
            total += profile.seconds(keys[index], read, written, layer.name)
    return total


def _without(structure: Structure, space: int, group: Group) -> Structure:
    """Take one unit of a group from a space."""
    tied = set(structure.tied(space))
    widths = [
        {**layer, group: layer[group] - 1} if index in tied else layer for index, layer in enumerate(structure.widths)
    ]
    return replace(structure, widths=tuple(widths))


def _touched(structure: Structure, space: int) -> list[int]:
    """List the layers whose times change with the units of a space: those that write and those that read them."""
    tied = structure.tied(space)
    return sorted({*tied, *(reader for index in tied for reader in structure.readers(index))})
