"""Information as a set function, and groupings within it by decomposition: closed forms, brute force, true bounds."""

import itertools
import math

import numpy as np
import pytest
from grouping_instances import best_value, costs, information, tiny

from pam_opt_solvers import Grouping, ProblemError, Status, load_problem, solve
from pam_opt_solvers.grouping.joining import join
from pam_opt_solvers.grouping.patterns import Patterns
from pam_opt_solvers.grouping.set_search import SetSearch, TooMany
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.grouping import subsets
from pam_opt_solvers.problems.kernel_information import KernelInformation
from pam_opt_solvers.problems.set_functions import SetFunction

PAM = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
COMPUTED = np.array([1.0, 2 / 3, 2 / 3, 0.0])
MAKERS = [KernelInformation, GaussianInformation.of_samples]


def samples(seed, units=7, count=24, labels=3):
    """Return noisy units of which the last is constant, and binary labels that they follow, some missing."""
    rng = np.random.default_rng(seed)
    known = (rng.random((count, labels)) < 0.4).astype(float)
    values = known @ rng.normal(size=(labels, units)) * rng.random(units) + rng.normal(0.0, 0.6, (count, units))
    values[:, -1] = 2.0
    return values, np.where(rng.random(known.shape) < (0.2 if seed % 2 else 0.0), np.nan, known)


def regrouping(seed, make, units=7, part=0.3, tasks=2):
    """Return PAM's conditions on a layer of random units."""
    groups = np.array([[1] * tasks, *np.eye(tasks), [0] * tasks], bool)
    rates = 1.0 - 0.5 ** groups.sum(axis=1)
    budgets = []
    for task in range(tasks):
        values, labels = samples(seed, units)
        function = make(values, np.roll(labels, task, axis=0) if task else labels)
        limit = part * function.value(np.arange(units))
        budgets.append(JointBudget(~groups[:, task], function, limit, f"task {task}"))
    return Grouping(groups, np.tile(rates, (units, 1)), None, tuple(budgets))


def sets_of(units):
    return [np.array(s, np.int64) for size in range(units + 1) for s in itertools.combinations(range(units), size)]


# --- the functions


def published(values, labels, noise=0.1):
    """Transcribe the entropies of design: h of all samples less those of every class, label by label."""

    def entropy(chosen):
        squares = ((chosen[:, None, :] - chosen[None, :, :]) ** 2).sum(axis=2)
        d, count = chosen.shape[1], len(chosen)
        inner = np.log(np.exp(-squares / (2 * noise)).sum(axis=1)) - math.log(count)
        return d / 2 - (inner - d / 2 * math.log(2 * math.pi * noise)).mean()

    total = 0.0
    for column in labels.T:
        known = ~np.isnan(column)
        total += entropy(values[known])
        for code in np.unique(column[known]):
            total -= (column == code).sum() / known.sum() * entropy(values[column == code])
    return total


@pytest.mark.parametrize("seed", range(8))
def test_kernel_information_is_the_published_formula(seed):
    values, labels = samples(seed)
    function = KernelInformation(values, labels)
    for members in sets_of(7)[1::9]:
        assert function.value(members) == pytest.approx(max(0.0, published(values[:, members], labels)), abs=1e-9)


def test_kernel_information_of_what_is_known():
    """Duplicates say nothing new, two halves of an exclusive or say all only together, far samples all there is."""
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 8, float)
    values = 9.0 * np.column_stack([bits, bits[:, 0], np.zeros(32)])
    xor = KernelInformation(values, (bits.sum(axis=1) == 1)[:, None].astype(float))
    found = [xor.value(np.array(s, np.int64)) for s in ([0], [1], [0, 2], [0, 1], [0, 1, 2, 3])]
    assert found == pytest.approx([0, 0, 0, math.log(2), math.log(2)], abs=1e-6)
    four = KernelInformation(values, bits @ [[2.0], [1.0]])
    assert four.value(np.array([0, 1])) == pytest.approx(math.log(4), abs=1e-6)
    one_class = KernelInformation(values, np.zeros((32, 1)))
    assert one_class.value(np.arange(4)) == 0.0


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("seed", range(4))
def test_shortcuts_agree_with_values(make, seed):
    function = make(*samples(seed))
    rng = np.random.default_rng(seed)
    for size in (0, 1, 4):
        members = rng.choice(7, size, replace=False)
        candidates = np.setdiff1d(np.arange(7), members)
        assert function.added(members) == pytest.approx(SetFunction.added(function, members), abs=1e-9)
        assert function.pairs(members, candidates) == pytest.approx(
            SetFunction.pairs(function, members, candidates), abs=1e-9
        )
        growth = function.grow()
        for unit in members:
            growth.add(int(unit))
        assert growth.candidates() == pytest.approx(function.added(members), abs=1e-9)
    assert function.idle().tolist() == [False] * 6 + [True]
    assert function.added(np.array([1]))[6] == pytest.approx(function.value(np.array([1])), abs=1e-9)


def test_kernel_takes_several_positions_a_unit():
    values, labels = samples(0)
    maps = np.stack([values, values[::-1]], axis=2)
    function = KernelInformation(maps, labels)
    side_by_side = KernelInformation(np.concatenate([values, values[::-1]], axis=1), labels)
    assert function.value(np.array([0, 2])) == pytest.approx(side_by_side.value(np.array([0, 2, 7, 9])), abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_gaussian_information_of_several_labels_is_their_sum(seed):
    values, labels = samples(seed)
    function = GaussianInformation.of_samples(values, labels)
    alone = [GaussianInformation.of_samples(values, column[:, None]) for column in labels.T]
    for members in sets_of(7)[::11]:
        assert function.value(members) == pytest.approx(sum(one.value(members) for one in alone), abs=1e-9)
    for members in sets_of(7)[::17]:
        for support in function.supports(members, np.zeros(7)):
            for others in sets_of(7)[::7]:
                line = support.constant + support.coefficients[others].sum()
                assert line <= function.value(others) + 1e-9


@pytest.mark.parametrize("make", MAKERS)
def test_functions_survive_files(make, tmp_path):
    for seed in (0, 1):
        problem = regrouping(seed, make)
        again = load_problem(problem.save(tmp_path / "problem.npz"))
        members = np.array([0, 3, 5])
        for ours, theirs in zip(problem.joint, again.joint, strict=True):
            assert ours.function.value(members) == theirs.function.value(members)
            assert ours.limit == theirs.limit


def test_bad_input_ends_in_sentences():
    values, labels = samples(0)
    for make in MAKERS:
        with pytest.raises(ProblemError, match="shape"):
            make(values, labels[:5])
        with pytest.raises(ProblemError, match="finite"):
            make(np.where(values == 2, np.nan, values), labels)
        with pytest.raises(ProblemError, match="noise"):
            make(values, labels, 0.0)
        with pytest.raises(ProblemError, match="missing for every sample"):
            make(values, np.full_like(labels, np.nan))
    with pytest.raises(ProblemError, match="class numbers"):
        KernelInformation(values, labels + 0.5)
    with pytest.raises(ProblemError, match="variables"):
        GaussianInformation(np.eye(2), np.zeros((2, 2, 2)), np.ones(2) / 2, 0.1, np.array([0, 2]))
    with pytest.raises(ProblemError, match="sum to 1"):
        GaussianInformation(np.eye(2), np.zeros((2, 2, 2)), np.ones(2) / 2, 0.1, np.array([0, 1]))


# --- its parts


@pytest.mark.parametrize("make", MAKERS)
def test_the_heaviest_set_against_all_sets(make):
    for seed in range(6):
        (budget, _) = regrouping(seed, make).joint
        weights = np.random.default_rng(seed).random(7)
        kept = [s for s in sets_of(7) if budget.function.value(s) <= budget.allowed]
        search = SetSearch(budget, np.ones(7, bool))
        members, bound = search.heaviest(weights, search.idle[None], math.inf)
        assert weights[members].sum() == pytest.approx(max(weights[s].sum() for s in kept), abs=1e-9)
        assert bound == pytest.approx(weights[members].sum())
        assert budget.function.value(np.flatnonzero(members)) <= budget.allowed
        largest = [
            s
            for s in kept
            if all(budget.function.value(np.append(s, u)) > budget.allowed for u in range(7) if u not in s)
        ]
        found = {row.tobytes() for row in search.at_least(np.zeros(7), 0.0, 1000, math.inf)}
        assert {np.isin(np.arange(7), s).tobytes() for s in largest} <= found
        with pytest.raises(TooMany):
            search.at_least(np.zeros(7), 0.0, 0, math.inf)
        _, stopped = SetSearch(budget, np.ones(7, bool)).heaviest(weights, search.idle[None], -math.inf)
        assert stopped >= bound - 1e-9


@pytest.mark.parametrize("budgets", [1, 2, 3])
def test_joins_against_all_combinations(budgets):
    rng = np.random.default_rng(budgets)
    for _ in range(20):
        table = rng.normal(size=(5, 2**budgets))
        families = [rng.random((int(rng.integers(1, 7)), 5)) < 0.5 for _ in range(budgets)]
        weights = rng.random((budgets, 5))
        best, found = math.inf, join(table, families, weights, need := float(rng.random() * 2 * budgets))
        for rows in itertools.product(*families):
            codes = sum(row.astype(int) << place for place, row in enumerate(rows))
            if sum(float(price @ row) for price, row in zip(weights, rows, strict=True)) >= need:
                best = min(best, table[np.arange(5), codes].sum())
        # Sets that weigh less may come along; none may be missed, and what is told must be what it costs.
        assert best == math.inf or (found is not None and found[0] <= best + 1e-9)
        if found is not None:
            codes = sum(row.astype(int) << place for place, row in enumerate(found[1]))
            assert found[0] == pytest.approx(table[np.arange(5), codes].sum())


def test_steps_of_costs():
    problem = regrouping(0, KernelInformation)
    patterns = Patterns.of(Grouping(PAM, np.tile(COMPUTED, (7, 1)), None, problem.joint))
    assert patterns.step == pytest.approx(1 / 3)
    uneven = np.tile(COMPUTED, (7, 1)) * np.linspace(1, 2, 7)[:, None] ** 2.2
    assert Patterns.of(Grouping(PAM, uneven, None, problem.joint)).step == 0.0


# --- decomposition


def coupled(seed):
    """Return a grouping of random costs whose cheap groups are counted by one, two or three joint budgets."""
    rng = np.random.default_rng(seed)
    units, groups = int(rng.integers(3, 6)), subsets(2)
    joint = []
    for index in range(int(rng.integers(1, 4))):
        function = information(rng, units, 2)
        limit = rng.uniform(0.1, 0.7) * function.value(np.arange(units))
        joint.append(JointBudget(np.append(rng.random(3) < 0.6, False), function, limit, f"joint {index}"))
    cost = rng.integers(0, 4, (units, 4)).astype(float) if seed % 2 else rng.random((units, 4))
    return Grouping(groups, cost + np.array([0.0, 1.0, 1.0, 3.0]), None, tuple(joint))


def test_gaussian_groupings_against_all_decisions():
    """Random costs and groups; a third of them with linear budgets or forbidden groups, which cuts solve."""
    own = 0
    for seed in range(150):
        problem = coupled(seed) if seed % 3 else tiny(seed, joint=True)
        best, solution = best_value(problem), solve(problem, "decomposition")
        own += "rounds of prices" in solution.run.note
        if best == math.inf:
            assert solution.status is Status.INFEASIBLE
            continue
        assert solution.status in (Status.OPTIMAL, Status.ROUNDED)
        assert solution.value == pytest.approx(best, rel=1e-6, abs=1e-6 * problem.magnitude)
        assert solution.bound <= best + 1e-9 * abs(best)
    assert own > 60


@pytest.mark.parametrize("make", MAKERS)
def test_pams_conditions_against_all_sets(make):
    """Every pair of sets within the budgets; kernel estimates here never fall enough to matter."""
    for seed in range(12):
        problem = regrouping(seed, make, part=(0.15, 0.3, 0.6)[seed % 3])
        kept = [
            np.array([np.isin(np.arange(7), s) for s in sets_of(7) if budget.function.value(s) <= budget.allowed])
            for budget in problem.joint
        ]
        first, second = (rows.astype(float) for rows in kept)
        table = Patterns.of(problem).table
        costs_of_all = (
            table[:, 0].sum()
            + (first @ (table[:, 1] - table[:, 0]))[:, None]
            + second @ (table[:, 2] - table[:, 0])
            + first * (table[:, 3] - table[:, 1] - table[:, 2] + table[:, 0]) @ second.T
        )
        solution = solve(problem, "decomposition")
        assert solution.status is Status.OPTIMAL
        assert solution.value == pytest.approx(costs_of_all.min())
        assert solution.value <= solve(problem, "greedy").value + 1e-9
        assert ("every part" in solution.run.note) <= (make is KernelInformation)


def test_agrees_with_cuts_for_three_tasks_and_uneven_costs():
    rng = np.random.default_rng(5)
    for seed in range(2):
        problem = regrouping(seed, GaussianInformation.of_samples, units=5, part=0.2, tasks=3)
        uneven = Grouping(problem.groups, problem.cost * rng.random((5, 1)), None, problem.joint)
        for one in (problem, uneven):
            ours, theirs = solve(one, "decomposition"), solve(one, "cuts")
            assert ours.status is theirs.status is Status.OPTIMAL
            assert ours.value == pytest.approx(theirs.value, rel=1e-6)


def test_every_group_of_three_tasks():
    rng = np.random.default_rng(8)
    groups = subsets(3)
    joint = tuple(
        JointBudget(~groups[:, t], (f := information(rng, 6)), 0.3 * f.value(np.arange(6)), f"{t}") for t in range(3)
    )
    problem = Grouping(groups, np.abs(costs(rng, 6, 8)) + groups.sum(axis=1), None, joint)
    if not np.isfinite(problem.cost).all():
        problem = Grouping(groups, np.where(np.isinf(problem.cost), 9.0, problem.cost), None, joint)
    assert solve(problem, "decomposition").value == pytest.approx(solve(problem, "cuts").value, rel=1e-6)


def test_limits_end_in_true_bounds():
    problem = regrouping(3, KernelInformation, units=12, part=0.5)
    best = solve(problem, "greedy").value
    for seconds in (1e-6, 0.3):
        solution = solve(problem, "decomposition", time_limit=seconds)
        assert solution.bound <= best
        assert solution.decision is None or solution.value <= best + 1e-9


def test_auto_is_decomposition_unless_there_are_linear_budgets():
    problem = regrouping(0, GaussianInformation.of_samples)
    assert solve(problem).run.solver.startswith("decomposition")
    table = BudgetTable(np.ones((1, 7)), np.ones((1, 4)), np.array([9.0]))
    assert solve(problem.with_budgets(table, problem.joint)).run.solver.startswith("cuts")


def test_same_units_in_another_order():
    problem = regrouping(2, KernelInformation, units=8)
    order = np.random.default_rng(0).permutation(8)
    joint = tuple(
        JointBudget(b.groups, KernelInformation(b.function.values[:, order], b.function.labels), b.limit, b.name)
        for b in problem.joint
    )
    permuted = Grouping(problem.groups, problem.cost[order], None, joint)
    assert solve(problem, "decomposition").value == pytest.approx(solve(permuted, "decomposition").value)
