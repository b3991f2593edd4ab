"""What a profile predicts: seconds of every combination, and what the loss of one unit saves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pam_opt.latency.shapes import layer_shapes
from pam_opt.latency.table import Profile
from pam_opt.macs import all_combinations
from pam_opt.network import MultitaskNetwork, require_multitask
from pam_opt.running import Block, arrange
from pam_opt.structure import INPUT, Structure
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
    return sum(
        _block_seconds(structure, keys, profile, index, block)
        for index, blocks in enumerate(arranged)
        for block in blocks
    )


def unit_savings(
    structure: Structure, keys: Sequence[str], profile: Profile, probabilities: Mapping[Group, float]
) -> dict[tuple[int, Group], float]:
    """Return the expected seconds that the loss of one unit of (space, group) saves, all others staying.

    The counterpart of `pam_opt.macs.unit_macs`: the unit goes from all tied layers, and from what every layer reads.
    """
    saved = {(space, group): 0.0 for space in structure.spaces for group in structure.widths[space]}
    for combination, probability in probabilities.items():
        for index, blocks in enumerate(arrange(structure, combination)):
            for block in blocks:
                now = _block_seconds(structure, keys, profile, index, block)
                for place, (read, written) in _touched(structure, index, block).items():
                    then = _block_seconds(structure, keys, profile, index, block, read, written)
                    saved[place] += probability * (now - then)
    return saved


def _block_seconds(
    structure: Structure,
    keys: Sequence[str],
    profile: Profile,
    index: int,
    block: Block,
    fewer_read: int = 0,
    fewer_written: int = 0,
) -> float:
    """Predict one call, of so many fewer units; nothing where there is nothing to do."""
    layer = structure.layers[index]
    written = sum(structure.units(index, group) for group in block.groups) - fewer_written
    read = sum(structure.units(*source) for source in block.sources) - fewer_read if layer.is_dense else 1
    return profile.seconds(keys[index], read, written, layer.name) if written and read else 0.0


def _touched(structure: Structure, index: int, block: Block) -> dict[tuple[int, Group], tuple[int, int]]:
    """Return for each place that a call writes or reads how many units it reads and writes less if one goes there."""
    layer = structure.layers[index]
    fewer: dict[tuple[int, Group], tuple[int, int]] = {}
    if index < len(structure.layers) - 1:
        fewer = {(layer.ties, group): (0, 1) for group in block.groups}
    for source, group in block.sources if layer.is_dense else ():
        if source != INPUT:
            place = (structure.layers[source].ties, group)
            read, written = fewer.get(place, (0, 0))
            fewer[place] = (read + 1, written)
    return fewer
