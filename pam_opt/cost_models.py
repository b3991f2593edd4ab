"""What units cost to whatever decides by cost: MACs of a sample, or the seconds that a profile predicts for a batch.

To add a cost model: write an `ExpectedCost`, and enter the function that makes it in `COST_MODELS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pam_opt.errors import PlanError
from pam_opt.latency import Profile, layer_shapes, predicted_seconds, unit_savings
from pam_opt.macs import combination_macs, output_positions, unit_macs
from pam_opt.structure import Structure
from pam_opt.tasks import Group

CostModel = Literal["macs", "latency"]


class ExpectedCost(ABC):
    """Say what a network costs in expectation over the combinations of tasks, for any widths of its layers.

    Attributes
    ----------
    unit : what is counted, in the plural
    least : amount below which a saving is as good as none
    of_products : whether it is a sum of products of widths: then what a unit saves is exact when it is the last of its
        group, too, and only shrinks as others go
    """

    unit: ClassVar[str]
    least: ClassVar[float]
    of_products: ClassVar[bool]

    @abstractmethod
    def expected(self, structure: Structure) -> float:
        """Return the expected cost."""

    @abstractmethod
    def unit_savings(self, structure: Structure) -> dict[tuple[int, Group], float]:
        """Return what the loss of one unit of each (space, group) saves, all others staying; at least 0."""


@dataclass(frozen=True)
class ExpectedMacs(ExpectedCost):
    """Count MACs of one sample.

    Parameters
    ----------
    positions : of every layer, see `pam_opt.macs.output_positions`
    probabilities : combination -> probability
    """

    positions: Sequence[int]
    probabilities: Mapping[Group, float]

    unit: ClassVar[str] = "macs"
    least: ClassVar[float] = 1.0
    of_products: ClassVar[bool] = True

    def expected(self, structure: Structure) -> float:
        """Return E[C]."""
        return sum(p * combination_macs(structure, self.positions, c) for c, p in self.probabilities.items())

    def unit_savings(self, structure: Structure) -> dict[tuple[int, Group], float]:
        """Return what E[C] loses with one unit."""
        return unit_macs(structure, self.positions, self.probabilities)


@dataclass(frozen=True)
class ExpectedSeconds(ExpectedCost):
    """Predict the seconds of a batch from a table of layer times.

    Parameters
    ----------
    keys : of every layer, those of its `LayerShape`
    profile : the table; its machine says batch size and threads
    probabilities : combination -> probability
    """

    keys: Sequence[str]
    profile: Profile
    probabilities: Mapping[Group, float]

    unit: ClassVar[str] = "seconds"
    least: ClassVar[float] = 1e-9
    of_products: ClassVar[bool] = False

    def expected(self, structure: Structure) -> float:
        """Return the mean time of a combination."""
        return sum(p * predicted_seconds(structure, self.keys, self.profile, c) for c, p in self.probabilities.items())

    def unit_savings(self, structure: Structure) -> dict[tuple[int, Group], float]:
        """Return the expected seconds that the loss of one unit saves."""
        return unit_savings(structure, self.keys, self.profile, self.probabilities)


def _macs(
    structure: Structure, probabilities: Mapping[Group, float], profile: Profile | None, shape: Sequence[int] | None
) -> ExpectedCost:
    return ExpectedMacs(output_positions(structure, shape), probabilities)


def _seconds(
    structure: Structure, probabilities: Mapping[Group, float], profile: Profile | None, shape: Sequence[int] | None
) -> ExpectedCost:
    assert profile is not None
    return ExpectedSeconds([one.key for one in layer_shapes(structure, shape)], profile, probabilities)


COST_MODELS: dict[
    str, Callable[[Structure, Mapping[Group, float], Profile | None, Sequence[int] | None], ExpectedCost]
] = {"macs": _macs, "latency": _seconds}
"""Name -> function (structure, probabilities, profile, input shape) -> cost of any widths of that structure."""


def expected_cost(
    structure: Structure,
    probabilities: Mapping[Group, float],
    cost_model: CostModel = "macs",
    profile: Profile | None = None,
    input_shape: Sequence[int] | None = None,
) -> ExpectedCost:
    """Make the cost of a network and of all that differ from it in their widths.

    Parameters
    ----------
    probabilities : combination -> probability
    profile : layer times, with ``latency`` and only there
    input_shape : of one sample; default: what the structure remembers

    Raises
    ------
    PlanError : an unknown cost model, a profile that is missing or not asked for
    ConfigError : a layer that the profile has no times of
    UnsupportedModel : an input shape that is missing or does not fit
    """
    check_cost_model(cost_model, profile)
    cost = COST_MODELS[cost_model](structure, probabilities, profile, input_shape)
    cost.expected(structure)  # says now what the profile lacks
    return cost


def check_cost_model(cost_model: str, profile: Profile | None) -> None:
    """Refuse an unknown cost model, and a profile that is missing or not asked for.

    Raises
    ------
    PlanError : says what to give
    """
    if cost_model not in COST_MODELS:
        raise PlanError(f"cost_model={cost_model!r} is unknown; choose from {list(COST_MODELS)}")
    if cost_model == "macs" and profile is not None:
        raise PlanError("profile= is for cost_model='latency'; name that, or leave the profile out")
    if cost_model == "latency" and profile is None:
        raise PlanError(
            "cost_model='latency' needs profile=, the times of the network's layers: "
            "pam_opt.latency.measure_profile(network.structure, Machine.here(batch, threads))"
        )
