"""What the backends of integer programming have in common: they take every problem that has a programme."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.conflict import conflict
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import LINEAR, Feature, Problem
from pam_opt_solvers.scaling import Scaling
from pam_opt_solvers.solver import Solver


@dataclass(frozen=True)
class Model:
    """The programme, its scaled objective, and the backend's own model."""

    program: IntegerProgram
    scaling: Scaling
    native: Any

    def decision(self, values: Any) -> NDArray[np.int64]:
        """Return the decision that a backend's values (v,) stand for."""
        return self.program.decode(np.rint(np.asarray(values, np.float64)).astype(np.int64))


class ProgramSolver(Solver[Model]):
    """Solve the integer programme of a problem; an adapter writes ``_scale``, ``_write`` and ``_run``."""

    takes = LINEAR
    exact = True
    features: ClassVar[frozenset[Feature]] = frozenset(Feature) - {Feature.SET_FUNCTION}
    stops_itself = True

    @abstractmethod
    def _scale(self, program: IntegerProgram) -> Scaling:
        """Return the objective as the backend gets it."""

    @abstractmethod
    def _write(self, program: IntegerProgram, scaling: Scaling, options: Options) -> Any:
        """Write the backend's model."""

    def _build(self, problem: Problem, options: Options) -> Model:
        program = problem.integer_program()
        scaling = self._scale(program)
        return Model(program, scaling, self._write(program, scaling, options))

    def infeasible(self, model: Model) -> Outcome:
        """Return the outcome of an infeasible programme, with the side constraints that explain it."""
        return Outcome(Status.INFEASIBLE, note=conflict(model.program))
