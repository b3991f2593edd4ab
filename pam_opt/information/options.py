"""What a user says about information: how it is estimated, and how much of it is almost none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

from pam_opt.errors import PlanError
from pam_opt.information import ESTIMATORS
from pam_opt.information.labels import LABELS
from pam_opt.information.responses import POOLINGS

KINDS = ("conv2d", "linear")
"""Kinds of layers."""

SCANS = ("lazy", "full")
"""How the next unit of a set is searched, see `pam_opt.information.regroup.greedy_set`."""


@dataclass(frozen=True)
class Information:
    """Say how units' information on tasks is estimated and what is little of it; one of `alpha` and `part` is given.

    Parameters
    ----------
    estimator : a name in `pam_opt.information.ESTIMATORS`
    alpha : threshold, nats summed over a task's labels: for all layers, or per kind of layer (``conv2d``, ``linear``)
        and per layer name, which goes before the kind
    part : instead of `alpha` one budget for all: the threshold of a layer and a task is this part of what all units
        of the layer tell about the task
    labels : ``binary``, the sum over the task's labels, each against the rest, as published; ``joint``, one variable
        with all its classes
    pooling : what stands for a convolution's map: its ``max`` as published, its ``mean``, or the map, ``flatten``
    samples : how many calibration samples are used, the first ones; 128 as published
    noise : variance of the noise that the estimators add to every unit; 0.1 as published
    scan : ``full`` evaluates every candidate at every step; ``lazy`` those that can be the least
    layers : names of the layers to regroup; all units of the others serve all tasks. None for all layers

    Raises
    ------
    PlanError : unknown names, or values out of range

    Examples
    --------
    >>> Information(alpha={"conv2d": 0.2, "linear": 0.15}).estimator
    'kde'
    """

    estimator: str = "kde"
    alpha: float | Mapping[str, float] | None = None
    part: float | None = None
    labels: Literal["binary", "joint"] = "binary"
    pooling: Literal["max", "mean", "flatten"] = "max"
    samples: int = 128
    noise: float = 0.1
    scan: Literal["lazy", "full"] = "lazy"
    layers: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("estimator", self.estimator, ESTIMATORS),
            ("labels", self.labels, LABELS),
            ("pooling", self.pooling, POOLINGS),
            ("scan", self.scan, SCANS),
        ):
            if value not in known:
                raise PlanError(f"information: {name}={value!r} is unknown; choose from {sorted(known)}")
        if not isinstance(self.samples, Integral) or self.samples < 2:
            raise PlanError(f"information: samples={self.samples!r} must be a whole number of at least 2")
        if not _is_number(self.noise) or self.noise == 0:
            raise PlanError(f"information: noise={self.noise!r} must be a variance above 0")
        self._check_thresholds()

    def _check_thresholds(self) -> None:
        if (self.alpha is None) == (self.part is None):
            raise PlanError("information: give one of alpha= (nats) and part= (of what all units of a layer tell)")
        if self.part is not None and not (_is_number(self.part) and self.part < 1):
            raise PlanError(f"information: part={self.part!r} must be at least 0 and below 1")
        given = self.alpha if isinstance(self.alpha, Mapping) else {"all layers": self.alpha}
        if not given:
            raise PlanError("information: alpha= names no layer; map kinds of layers or their names to nats")
        for name, value in given.items():
            if self.alpha is not None and not _is_number(value):
                raise PlanError(f"information: alpha of {name!r} is {value!r}; it must be a number of nats, at least 0")

    def regrouped(self, names: Sequence[str]) -> list[str]:
        """Return which of the layers are regrouped, in their order.

        Raises
        ------
        PlanError : names of `layers` or `alpha` that are not among them
        """
        chosen = list(names) if self.layers is None else list(self.layers)
        _refuse_unknown("layers", chosen, names, f"the layers are {list(names)}")
        if isinstance(self.alpha, Mapping):
            known = f"the regrouped layers are {chosen} and the kinds {list(KINDS)}"
            _refuse_unknown("alpha", self.alpha, [*chosen, *KINDS], known)
        return [name for name in names if name in chosen]

    def threshold(self, layer: str, kind: str) -> float | None:
        """Return the threshold of a layer in nats; None where `part` says it.

        Raises
        ------
        PlanError : `alpha` names neither the layer nor its kind
        """
        if not isinstance(self.alpha, Mapping):
            return self.alpha
        if layer not in self.alpha and kind not in self.alpha:
            raise PlanError(
                f"information: alpha= has no threshold for layer {layer!r}, a {kind} layer; add one under its name or "
                "kind, or leave it out of layers="
            )
        return self.alpha[layer] if layer in self.alpha else self.alpha[kind]


def _is_number(value: object) -> bool:
    """Whether it is a number from 0 on; NaN and infinity are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


def _refuse_unknown(option: str, given: Sequence[str] | Mapping[str, float], known: Sequence[str], what: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise PlanError(f"information: {option}= names {unknown}; {what}")
