"""Studies of several pruners and budgets of training: results by panel, budget and method, and ratios of costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pam_opt.errors import ConfigError
from pam_opt.report.cells import Results, epochs_text, settings, width_text
from pam_opt.report.comparisons import CONTROL, RIVALS
from pam_opt.report.intervals import Ratio, ratio
from pam_opt.report.rows import PARENTS, SEPARATE, Row, contests, parents_row, rows

PAM = "pam"
"""The published system that the others are held against."""

PAIRS = (
    *RIVALS.items(),
    ("optimal", "random"),
    ("optimal", CONTROL),
    ("representatives", CONTROL),
    ("representatives", "optimal"),
    ("pam-exact", PAM),
    ("pam-pairs", PAM),
)
"""What differs in the solver or the problem alone."""


@dataclass(frozen=True)
class Panel:
    """What all budgets of a panel have in common.

    Parameters
    ----------
    pruner : name of the pruning method
    epochs : of fine-tuning before the pruning
    width : as in `Setting`
    """

    pruner: str
    epochs: float
    width: float | None

    @property
    def title(self) -> str:
        """Name it."""
        width = "" if self.width is None else f", width {width_text(self.width)}"
        return f"{self.pruner}{width}" + (f", {epochs_text(self.epochs)}" if self.epochs else "")


Panels = dict[Panel, dict[float, dict[str, Row]]]
"""Panel -> epochs of training in the whole pruning, ascending -> method -> row."""


def has_budgets(results: Sequence[Results]) -> bool:
    """Whether the networks were pruned within budgets of training."""
    return any(setting.training.prune_epochs is not None for setting in settings(results))


def panels(results: Sequence[Results]) -> Panels:
    """Sort the results that were pruned within budgets of training."""
    found: Panels = {}
    for contest, methods in contests(rows(results)).items():
        training = contest.training
        if training.pruner is not None and training.prune_epochs is not None:
            panel = Panel(training.pruner, training.epochs, contest.width)
            found.setdefault(panel, {})[training.prune_epochs] = methods
    return {panel: dict(sorted(budgets.items())) for panel, budgets in found.items()}


def methods_in(found: Panels) -> list[str]:
    """Name the methods of all panels, each once."""
    return list(dict.fromkeys(name for budgets in found.values() for rows in budgets.values() for name in rows))


def budgets_in(found: Panels) -> list[float]:
    """List the budgets of all panels, ascending."""
    return sorted({budget for budgets in found.values() for budget in budgets})


@dataclass(frozen=True)
class Baseline:
    """What costs are related to: a method under the same budget, or the parents before pruning."""

    name: str
    parents: Row

    def row(self, methods: Mapping[str, Row]) -> Row | None:
        """Find it among the methods of one budget."""
        return self.parents if self.name == PARENTS else methods.get(self.name)

    @property
    def text(self) -> str:
        """Name it in a sentence."""
        return "the unpruned parents" if self.name == PARENTS else repr(self.name)


def baseline(results: Sequence[Results], name: str | None = None) -> Baseline:
    """Choose what costs are related to: `name`, or ``separate`` where the study has it, or the unpruned parents.

    Raises
    ------
    ConfigError : the study has no such method
    """
    known = [*dict.fromkeys(setting.method for setting in settings(results)), PARENTS]
    if name is not None and name not in known:
        raise ConfigError(f"no method of all seeds is called {name!r}; the baseline can be {', '.join(known)}")
    return Baseline(name or (SEPARATE if SEPARATE in known else PARENTS), parents_row(results))


def relative(row: Row | None, other: Row | None) -> Ratio | None:
    """Return E[C] of one relative to that of another; None unless both are there and within the allowed drop."""
    if row is None or other is None or not row.counts or not other.counts:
        return None
    return ratio(row.expected, other.expected)
