"""What every problem offers to solvers, to the judge of their answers, to files and to the harness."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError, SolverUnsuitable
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.storage import read_npz, write_npz

if TYPE_CHECKING:
    from pam_opt_solvers.integer_program import IntegerProgram
    from pam_opt_solvers.outcome import Outcome


class Problem(ABC):
    """A minimisation whose decisions are int64 arrays. Subclasses are frozen dataclasses, checked when built.

    Attributes
    ----------
    kind : its name, in files and in the table of solvers
    asks : the features that problems of this kind may have
    """

    kind: ClassVar[str]
    asks: ClassVar[frozenset[Feature]]

    @cached_property
    @abstractmethod
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""

    @abstractmethod
    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid. Takes anything, rubbish included."""

    @abstractmethod
    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return a valid decision in its canonical order."""

    @abstractmethod
    def terms(self, decision: Any) -> NDArray[np.float64]:
        """Return every cost that a valid decision pays, (t,) float64; they sum to its value."""

    @abstractmethod
    def trivial_bound(self) -> float:
        """Return a lower bound on every decision, cheap to find; +inf where there is none. Cache it if it is dear."""

    @abstractmethod
    def settled(self) -> "Outcome | None":
        """Return the outcome of a problem without a choice, so that no backend meets an empty model."""

    @property
    @abstractmethod
    def most_terms(self) -> int:
        """The most terms that a decision sums."""

    @abstractmethod
    def magnitudes(self) -> NDArray[np.float64]:
        """Return the magnitudes of all finite costs, flat: the yardstick of rounding."""

    @abstractmethod
    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return a decision's outline for a reader, such as ``12 pairs``."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays without objects."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the problem from what `arrays` returned; optional arrays may be absent."""

    def integer_program(self) -> "IntegerProgram":
        """Write the problem as an integer linear programme.

        Raises
        ------
        SolverUnsuitable
            where there is none, or only one of absurd size
        """
        raise SolverUnsuitable(f"{self!r} has no linear formulation; use a solver of its own (pam-opt solvers)")

    def certainly_feasible(self) -> bool:
        """Whether a decision surely exists; False = not known. Exposes a backend that is wrong about it."""
        return False

    @property
    def magnitude(self) -> float:
        """Largest magnitude that enters a sum; its rounding limits what float64 can prove."""
        return float(self.magnitudes().max(initial=0.0))

    def float_error(self, terms: int | None = None) -> float:
        """Return the worst float64 rounding of a sum of ``terms`` costs; default: the most that a decision has."""
        return 4 * np.finfo(np.float64).eps * (self.most_terms if terms is None else terms) * self.magnitude

    def check(self, decision: Any) -> None:
        """Raise ``ProblemError`` naming everything that a decision breaks."""
        broken = self.violations(decision)
        if broken:
            raise ProblemError(f"not a decision of {self!r}: " + "; ".join(broken))

    def value(self, decision: Any) -> float:
        """Return the value of a valid decision from the original costs, summed without rounding error.

        Raises
        ------
        ProblemError
            if it is not valid
        """
        self.check(decision)
        return math.fsum(self.terms(decision))

    @classmethod
    def schema(cls) -> str:
        """Return name and version of the file format."""
        return f"pam_opt.{cls.kind}/1"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the problem to one ``.npz`` at exactly this path, whole or not at all."""
        return write_npz(path, self.schema(), self.arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a problem that `save` wrote.

        Raises
        ------
        ProblemError
            for a damaged file, another kind of problem or arrays that make no problem
        """
        arrays = read_npz(path, cls.schema())
        try:
            return cls.from_arrays(arrays)
        except KeyError as err:
            raise ProblemError(f"{path} holds no array called {err}; it has {sorted(arrays)}") from err
        except ProblemError as err:
            raise ProblemError(f"{path}: {err}") from err
        except Exception as err:  # arrays that are not what they claim raise nearly anything
            raise ProblemError(f"{path} holds no {cls.kind}: {type(err).__name__}: {err}") from err
