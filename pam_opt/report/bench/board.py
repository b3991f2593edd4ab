"""What the records of one kind of problem say, measured against the best value that anybody found."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pam_opt.bench.record import Ending, Record

TARGET = 1e-3
"""A decision counts as reaching the best known value if it is worse by no more than this part of it."""

ROUNDING = 1e-9
"""Values below this part of the largest cost count as nothing when losses are related to them."""

SHIFT_SECONDS = 0.01
"""Shift of geometric means of times: differences far below it hardly count."""

MOST_CLASSES = 8
"""Sizes are classes of their own up to this many; more are put together by powers of two."""

ABSENT = (Ending.DOES_NOT_APPLY, Ending.NOT_INSTALLED)


@dataclass(frozen=True)
class Entry:
    """A record beside the best that anybody found on its instance.

    Parameters
    ----------
    record : what the solver did
    best : best known value; NaN where nobody found a decision
    best_bound : highest bound that anybody proved
    """

    record: Record
    best: float
    best_bound: float

    @property
    def yardstick(self) -> float:
        """What losses are related to: the best known value, or the rounding of the costs if that is more."""
        return max(abs(self.best), ROUNDING * self.record.scale, 1e-300)

    @property
    def decided(self) -> bool:
        """Whether the solver found a decision."""
        return math.isfinite(self.record.value)

    def distance(self, value: float) -> float:
        """Return by which part of the best known value another one misses it."""
        return max(0.0, abs(value - self.best) / self.yardstick)

    @property
    def loss(self) -> float:
        """Return by which part the decision is worse than the best known; inf without one."""
        return self.distance(self.record.value) if self.decided else math.inf

    @property
    def reached(self) -> bool:
        """Whether the solver reached the best known value, or proved that there is no decision."""
        return self.loss <= TARGET or (math.isnan(self.best) and self.record.status == "INFEASIBLE")

    @property
    def proved(self) -> bool:
        """Whether nothing was left to find."""
        return self.record.status in ("OPTIMAL", "INFEASIBLE")

    @property
    def charged_seconds(self) -> float:
        """Time until it returned; the whole limit where it was ended, by whatever."""
        returned = self.record.ending in (Ending.SOLVED, Ending.NO_DECISION)
        return min(self.record.seconds, self.record.time_limit) if returned else self.record.time_limit

    @property
    def target_seconds(self) -> float:
        """Time until it held a decision that reaches the best known value; inf if it never did."""
        if not self.reached:
            return math.inf
        early = (second for second, value, _ in self.points if self.distance(value) <= TARGET)
        return next(early, self.charged_seconds)

    @property
    def points(self) -> list[tuple[float, float, float]]:
        """(second, value, bound) at every improvement, the last one when it returned."""
        record = self.record
        path = [*zip(record.trajectory_seconds, record.trajectory_value, record.trajectory_bound, strict=True)]
        return [*path, (self.charged_seconds, record.value, record.bound)]


@dataclass(frozen=True)
class Board:
    """All entries of one kind of problem, of the solvers that ran at all.

    Parameters
    ----------
    problem : its kind
    entries : every cell of those solvers
    absent : records of solvers that never applied or were not installed
    labels : solvers, the most often successful first, the faster of equals first
    barred : of a part of a board: solvers that do not apply to these instances
    """

    problem: str
    entries: tuple[Entry, ...]
    absent: tuple[Record, ...]
    labels: tuple[str, ...]
    barred: tuple[str, ...] = ()

    def of(self, label: str, **fixed: object) -> list[Entry]:
        """Return the entries of a solver whose records have the given fields."""
        return [
            entry
            for entry in self.entries
            if entry.record.label == label
            and all(getattr(entry.record, name) == value for name, value in fixed.items())
        ]

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families, in order."""
        return tuple(sorted({entry.record.family for entry in self.entries}))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Classes of size, ascending."""
        return tuple(sorted({self.size_class(entry.record.size) for entry in self.entries}))

    def size_class(self, size: int) -> int:
        """Return the class of a size: itself, or the nearest power of two where there are many."""
        if len({entry.record.size for entry in self.entries}) <= MOST_CLASSES or size < 1:
            return size
        return 2 ** round(math.log2(size))

    @property
    def unit(self) -> str:
        """What sizes count."""
        return " / ".join(sorted({entry.record.unit for entry in self.entries}))


def make_boards(records: Sequence[Record]) -> tuple[Board, ...]:
    """Sort records by kind of problem and measure them."""
    kinds = sorted({record.problem for record in records})
    return tuple(_board(kind, [record for record in records if record.problem == kind]) for kind in kinds)


def _board(kind: str, records: list[Record]) -> Board:
    present = {record.label for record in records if record.ending not in ABSENT}
    instances = defaultdict(list)
    for record in records:
        if record.label in present:
            instances[record.family, record.size, str(record.severity), record.seed].append(record)
    entries = tuple(entry for group in instances.values() for entry in _entries(group))
    absent = tuple(record for record in records if record.label not in present)
    labels = sorted(present, key=lambda label: _rank([entry for entry in entries if entry.record.label == label]))
    return Board(kind, entries, absent, tuple(labels))


def _entries(group: list[Record]) -> list[Entry]:
    best = min((record.value for record in group if math.isfinite(record.value)), default=math.nan)
    bound = max((record.bound for record in group if not math.isnan(record.bound)), default=-math.inf)
    return [Entry(record, best, bound) for record in group]


def _rank(entries: list[Entry]) -> tuple[float, float, str]:
    reached = sum(entry.reached for entry in entries) / len(entries)
    return -reached, mean_seconds(entries), entries[0].record.label


def mean_seconds(entries: Iterable[Entry]) -> float:
    """Return the shifted geometric mean of the times; NaN of nothing.

    Notes
    -----
    ``exp(mean(log(t + s))) - s`` with the shift ``s`` of 10 ms. A cell that did not return counts with its whole limit.
    """
    logs = [math.log(entry.charged_seconds + SHIFT_SECONDS) for entry in entries]
    return math.exp(statistics.fmean(logs)) - SHIFT_SECONDS if logs else math.nan


def profile(board: Board, label: str) -> tuple[list[float], list[float]]:
    """Return a solver's performance profile: multiples of the fastest time, and the part of instances within each.

    Notes
    -----
    ``rho(tau) = |{p : t_p <= tau * min_s t_ps}| / |P|`` [1]_ over the instances where a decision is known, with
    ``t`` the time to a decision that reaches the best known value [2]_. Times below 1 ms count as 1 ms.

    References
    ----------
    .. [1] E. D. Dolan, J. J. Moré, Benchmarking optimization software with performance profiles, Math. Program. 91
       (2002), doi:10.1007/s101070100263
    .. [2] J. J. Moré, S. M. Wild, Benchmarking derivative-free optimization algorithms, SIAM J. Optim. 20 (2009),
       doi:10.1137/080724083
    """
    fastest: dict[tuple[object, ...], float] = defaultdict(lambda: math.inf)
    for entry in board.entries:
        key = instance_of(entry)
        fastest[key] = min(fastest[key], _measurable(entry.target_seconds))
    ratios = sorted(
        _measurable(entry.target_seconds) / fastest[instance_of(entry)]
        for entry in board.of(label)
        if math.isfinite(entry.target_seconds)
    )
    count = sum(map(math.isfinite, fastest.values()))
    return ratios, [(index + 1) / count for index in range(len(ratios))]


def instance_of(entry: Entry) -> tuple[object, ...]:
    """Return what tells an entry's instance from others of its board."""
    record = entry.record
    return record.family, record.size, str(record.severity), record.seed


def _measurable(seconds: float) -> float:
    return max(seconds, 1e-3)
