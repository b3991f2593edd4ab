"""The optimisation problems, one file each. A new one is a file and a line in ``PROBLEMS``."""

import os

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.cluster_plan import ClusterPlan
from pam_opt_solvers.problems.column_subset import ColumnSubset
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.problems.joint_pairing import JointPairing
from pam_opt_solvers.problems.layer_pair import FIXED, LayerPair
from pam_opt_solvers.problems.multi_pairing import MultiPairing
from pam_opt_solvers.problems.network_plan import NetworkPlan
from pam_opt_solvers.problems.paired_grouping import PairedGrouping
from pam_opt_solvers.problems.pairing import Pairing
from pam_opt_solvers.problems.problem import Problem
from pam_opt_solvers.problems.quota import Quota
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.problems.storage import read_schema

PROBLEMS: dict[str, type[Problem]] = {
    Pairing.kind: Pairing,
    NetworkPlan.kind: NetworkPlan,
    ClusterPlan.kind: ClusterPlan,
    Grouping.kind: Grouping,
    PairedGrouping.kind: PairedGrouping,
    Representatives.kind: Representatives,
    ColumnSubset.kind: ColumnSubset,
    MultiPairing.kind: MultiPairing,
    JointPairing.kind: JointPairing,
}
"""Kind to class."""

LINEAR = frozenset(kind for kind, made in PROBLEMS.items() if made.integer_program is not Problem.integer_program)
"""Kinds that can be written as an integer programme."""


def load_problem(path: str | os.PathLike[str]) -> Problem:
    """Read any problem that ``save`` wrote; a file that states no schema is taken for a `Pairing`.

    Raises
    ------
    ProblemError
        for a damaged file or a kind that this version does not know
    """
    schema = read_schema(path)
    known = {problem.schema(): problem for problem in PROBLEMS.values()} | {None: Pairing}
    if schema not in known:
        raise ProblemError(f"{path} holds the schema {schema!r}; this version reads {', '.join(filter(None, known))}")
    return known[schema].load(path)


__all__ = [
    "FIXED",
    "LINEAR",
    "PROBLEMS",
    "ClusterPlan",
    "ColumnSubset",
    "Feature",
    "Grouping",
    "JointPairing",
    "LayerPair",
    "MultiPairing",
    "NetworkPlan",
    "PairedGrouping",
    "Pairing",
    "Problem",
    "Quota",
    "Representatives",
    "load_problem",
]
