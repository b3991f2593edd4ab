"""When and how much is pruned, and how long is trained in between: one schedule for every pruning method."""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

from pam_opt.errors import PlanError


@dataclass(frozen=True)
class Schedule:
    """Say how a network is pruned.

    A removal takes units until `fraction` is gone and is followed by fine-tuning. If that leaves the allowed drop,
    it is taken back and tried again from the last good network with half the fraction.

    Parameters
    ----------
    max_drop : a removal counts only while every task's metric stays at least ``reference - max_drop``; None sets no
        limit and then `target_macs` or `removals` is required
    target_macs : stop once E[C] is at most this; with ``cost_model="macs"``
    fraction : of E[C], or with ``by="units"`` of the units that may go, removed each time
    by : what `fraction` is of: ``macs``, where units go by score per MAC, or ``units``, by score alone as published
        schedules do; ``rule`` takes only what the method itself gives up, such as closed VIB gates
    steps : optimiser steps of fine-tuning after each removal
    warm_up : optimiser steps before the first removal
    patience : removals in a row that may be taken back before the pruning ends; also how often the given network is
        fine-tuned for `steps` more if it starts outside the allowed drop
    removals : instead of `patience`, how many removals are tried in all, those taken back included, and so how
        often is fine-tuned. Halved fractions then grow again by half with each removal that holds, and while a network
        is outside the allowed drop it is trained on in place of a removal: every method gets the same number of
        optimiser steps
    groups : ``all``, or ``shared`` for units that serve more than one task only, as in PAM's published code
    target_seconds : in place of `target_macs` with ``cost_model="latency"``: stop once the expected seconds of a batch
        are at most this; there `fraction` is of these seconds, and ``by="macs"`` means score per second

    Raises
    ------
    PlanError : no stop rule, or numbers out of range
    """

    max_drop: float | None = 0.01
    target_macs: float | None = None
    fraction: float = 0.1
    by: Literal["macs", "units", "rule"] = "macs"
    steps: int = 100
    warm_up: int = 0
    patience: int = 2
    removals: int | None = None
    groups: Literal["all", "shared"] = "all"
    target_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is None and self.target is None and self.removals is None:
            raise PlanError("prune needs max_drop=, target_macs= or removals= to know where to stop")
        if self.max_drop is not None and not (_is_number(self.max_drop) and self.max_drop >= 0):
            raise PlanError(
                f"max_drop {self.max_drop!r} must be >= 0: it is a difference of the metric, 0.01 is one point"
            )
        for name in ("target_macs", "target_seconds"):
            target = getattr(self, name)
            if target is not None and not (_is_number(target) and target > 0):
                raise PlanError(f"{name} {target!r} must be above 0")
        if self.target_macs is not None and self.target_seconds is not None:
            raise PlanError("give one of target_macs= and target_seconds=: pruning goes by one cost")
        if not (_is_number(self.fraction) and 0 < self.fraction < 1):
            raise PlanError(f"fraction {self.fraction!r} must be between 0 and 1")
        if self.by == "rule" and self.removals is None:
            raise PlanError("by='rule' needs removals=: how often the method's rule is applied, each time with `steps`")
        for name in ("steps", "warm_up", "patience", "removals"):
            count: object = getattr(self, name)
            if count is not None and (not isinstance(count, Integral) or count < 0):
                raise PlanError(f"{name} {count!r} must be a whole number >= 0")
        for name, known in (("by", ("macs", "units", "rule")), ("groups", ("all", "shared"))):
            if getattr(self, name) not in known:
                raise PlanError(f"{name} is {getattr(self, name)!r}; choose from {list(known)}")

    @property
    def target(self) -> float | None:
        """The target, of whichever cost it is."""
        return self.target_macs if self.target_seconds is None else self.target_seconds

    @classmethod
    def of_effort(
        cls,
        total_steps: int,
        removals: int,
        *,
        max_drop: float | None = 0.01,
        target_macs: float | None = None,
        fraction: float = 0.25,
        groups: Literal["all", "shared"] = "all",
    ) -> "Schedule":
        """Spread `total_steps` optimiser steps evenly: a part before the first removal and one after each."""
        part = total_steps // (removals + 1)
        return cls(max_drop, target_macs, fraction, "macs", part, part, 0, removals, groups)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
