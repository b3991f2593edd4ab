"""What hostile, careful users found: each of these once ended in a traceback, a refusal or a silent error."""

import warnings

import numpy as np
import pytest

from pam_opt_solvers import (
    Budget,
    ClusterPlan,
    ColumnSubset,
    Grouping,
    JointPairing,
    LayerPair,
    NetworkPlan,
    Pairing,
    ProblemError,
    Quota,
    Representatives,
    Status,
    load_problem,
    run_probabilities,
    solve,
)
from pam_opt_solvers.problems.budgets import BudgetTable
from pam_opt_solvers.problems.grouping import subsets
from pam_opt_solvers.problems.storage import write_npz

RAGGED = [[1, 2], [3]]
SQUARE = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])
EXACT = ("cp_sat", "math_opt:highs", "math_opt:scip", "scipy_milp", "pulp")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pairing(SQUARE, forced=RAGGED),  # type: ignore[arg-type]
        lambda: Pairing(SQUARE, tied_rows=RAGGED),  # type: ignore[arg-type]
        lambda: Pairing(SQUARE, budgets=None),  # type: ignore[arg-type]
        lambda: Pairing(SQUARE, budgets="budget"),  # type: ignore[arg-type]
        lambda: Pairing(SQUARE, budgets=(SQUARE,)),  # type: ignore[arg-type]
        lambda: Pairing(np.ma.array(SQUARE, mask=np.eye(3, dtype=bool))),
        lambda: Budget(RAGGED, 1.0, "b"),  # type: ignore[arg-type]
        lambda: BudgetTable(np.ones((1, 2)), np.ones((1, 2)), np.ones(1), names=1),  # type: ignore[arg-type]
        lambda: Grouping(subsets(1), np.ones((2, 2)), joint=1),  # type: ignore[arg-type]
        lambda: Quota([0, 1], least=RAGGED),  # type: ignore[arg-type]
        lambda: Representatives(SQUARE, 1, forbidden=RAGGED),  # type: ignore[arg-type]
        lambda: ColumnSubset(np.eye(2), 1, ridge=RAGGED),  # type: ignore[arg-type]
        lambda: ColumnSubset(np.eye(2), 1, forbidden=RAGGED),  # type: ignore[arg-type]
        lambda: JointPairing(np.array(1.0), ()),  # type: ignore[arg-type]
        lambda: run_probabilities(RAGGED),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_array_is_refused_in_words(make):
    with pytest.raises(ProblemError):
        make()


def test_huge_unsigned_labels_do_not_wrap_around():
    with pytest.raises(ProblemError, match="no int64"):
        Pairing(SQUARE, tied_rows=np.full(3, 2**64 - 1, np.uint64))  # type: ignore[arg-type]


def test_numbers_beyond_float64_are_refused_without_a_warning():
    beyond = np.full((1, 1), np.longdouble("1e400"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ProblemError, match="magnitudes"):
            Budget(beyond, 1.0, "b")


@pytest.mark.parametrize("name", ["lagrangian", *EXACT])
def test_a_heavy_pair_does_not_blur_a_budget(name):
    weights = np.array([[1.0, 1e6], [1e-6, 0.0]])
    problem = Pairing(np.array([[1.0, 1.0], [2.0, 3.0]]), n_pairs=1, budgets=(Budget(weights, 0.0, "none"),))
    assert problem.violations([(0, 0)])
    assert problem.violations([(1, 0)])
    assert solve(problem, name).value == 3.0


@pytest.mark.parametrize("name", EXACT)
def test_weights_of_any_size(name):
    for scale in (5e-324, 1e-300, 1e-9, 1e299):
        budget = Budget(np.array([[2.0, 0.0], [1.0, 1.0]]) * scale, 2.0 * scale, "b")
        assert solve(Pairing(np.array([[0.0, 5.0], [4.0, 0.0]]), n_pairs=2, budgets=(budget,)), name).value == 9.0


@pytest.mark.parametrize("name", EXACT)
def test_limits_far_above_all_weights(name):
    cost = np.array([[0.0, 2.0], [1.0, 0.0]])
    roomy = Budget(np.full((2, 2), 1e-5), 1e290, "roomy")
    tight = Budget(np.eye(2), 1.0, "tight")
    assert solve(Pairing(cost, budgets=(roomy, tight)), name).value == 3.0


def test_a_negative_limit_is_infeasible_even_within_tolerances():
    problem = Pairing(SQUARE, n_pairs=1, budgets=(Budget(SQUARE, -1e-12, "below"),))
    for name in ("lagrangian", "math_opt", "cp_sat"):
        solution = solve(problem, name)
        assert solution.status is Status.INFEASIBLE
        assert "'below'" in solution.run.note


def test_infeasible_budgets_are_explained_where_every_pair_breaks_one_alone():
    problem = Pairing(SQUARE, n_pairs=2, budgets=(Budget(np.full((3, 3), 9.0), 1.0, "small"),))
    solution = solve(problem, "math_opt")
    assert solution.status is Status.INFEASIBLE
    assert "'small'" in solution.run.note


def test_gaps_and_large_ties_end_without_a_warning():
    plan = ClusterPlan([[-1e200, 1.0]], [], [0.0, 0.0], 1, [[0, 0]], [1, 1], price=0.0)
    free = ClusterPlan([[1e200, 1.0]], [], [0.0, 0.0], 1, [[0, 0]], [1, 1], price=0.0)
    layer = LayerPair(np.diag([1.0, 2.0, 3.0]), np.full((3, 3), 1e100), 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve(plan, "max_flow").value == -1e200
        assert solve(free, "max_flow").value == 0.0
        solve(JointPairing((3,), (layer,)), "lagrangian").check()


@pytest.mark.parametrize(
    ("problem", "name", "array"),
    [
        (Pairing(SQUARE, budgets=(Budget(SQUARE, 1.0, "b"),)), "budget_names", np.array(["b", "c"])),
        (Pairing(SQUARE, budgets=(Budget(SQUARE, 1.0, "b"),)), "budget_limits", np.array(["x"])),
        (Pairing(SQUARE, n_pairs=1), "n_pairs", np.array([1, 2])),
        (ColumnSubset(np.eye(2), 1), "n_kept", np.zeros((0,))),
        (
            NetworkPlan.of_two_parents([(2, 2)], [[0.0, 1.0, 4.0]], [1.0, 1.0], 1, (1, 1), loss_budget=1.0),
            "counts",
            np.array(3),
        ),
    ],
)
def test_files_of_odd_arrays_are_named(tmp_path, problem, name, array):
    path = write_npz(tmp_path / "größe 1.npz", problem.schema(), problem.arrays() | {name: array})
    with pytest.raises(ProblemError, match="größe 1"):
        load_problem(path)
