"""Which fixed pairs are shared: minimum cuts and programmes against all plans, refusals, bad input."""

import math

import numpy as np
import pytest
from network_instances import clusters, least_cluster_value
from network_instances import small_clusters as small

from pam_opt_solvers import (
    ClusterPlan,
    Feature,
    NetworkPlan,
    ProblemError,
    SolverUnsuitable,
    Status,
    load_problem,
    solve,
)

INF = np.inf
CUTS = ("max_flow", "networkx")


@pytest.mark.parametrize("submodular", [True, False])
def test_all_solvers_against_all_plans(submodular):
    refused = 0
    for seed in range(25):
        problem = clusters(np.random.default_rng(seed), submodular)
        best = least_cluster_value(problem)
        assert problem.trivial_bound() <= best
        for name in (*CUTS, "scipy_milp"):
            if name in CUTS and Feature.NOT_SUBMODULAR in problem.features:
                refused += 1
                with pytest.raises(SolverUnsuitable, match=r"worth less than the MACs.*cp_sat"):
                    solve(problem, name)
                continue
            solution = solve(problem, name)
            solution.check()
            assert solution.status is Status.OPTIMAL or (name not in CUTS and solution.status is Status.ROUNDED)
            assert solution.value == pytest.approx(best, rel=1e-9, abs=1e-9)
            assert solution.bound <= best + 1e-12
    assert (refused == 0) == submodular


@pytest.mark.parametrize("submodular", [True, False])
def test_cp_sat_and_auto_agree(submodular):
    for seed in range(8):
        problem = clusters(np.random.default_rng(seed), submodular)
        first, second = solve(problem), solve(problem, "cp_sat")
        assert first.status is second.status is Status.OPTIMAL
        assert first.value == pytest.approx(second.value, rel=1e-9)


def test_large_cuts_agree_with_each_other():
    rng = np.random.default_rng(0)
    sizes = [40] * 4
    edges = [1.0 + rng.random((40, 40)) for _ in sizes[1:]]
    problem = ClusterPlan([60 * rng.random(40) for _ in sizes], edges, np.ones(5), 3, np.ones((4, 2)), [2, 2], 1.0)
    flow, graph = (solve(problem, name) for name in CUTS)
    assert flow.value == pytest.approx(graph.value, rel=1e-12)
    assert 0 < flow.decision.sum() < 160
    assert "integer scale" in flow.run.note


def test_macs_are_those_of_the_network_plan():
    plan = small(weights=[1.0, 2.0, 3.0])
    widths = [(2, 3), (2, 1)]
    network = NetworkPlan.of_two_parents(
        widths, [np.zeros(3), np.zeros(2)], plan.macs, 2, (1, 1), weights=plan.weights, loss_budget=0.0
    )
    for decision, shared in (([0, 0, 0], [0, 0]), ([1, 0, 1], [1, 1]), ([1, 1, 0], [2, 0])):
        assert plan.expected_macs(decision) == pytest.approx(network.expected_macs(shared), rel=1e-12)


def test_losses_of_edges_are_paid_where_shared_reads_apart():
    plan = small(price=0.0)
    assert plan.value([0, 1, 1]) == pytest.approx(9.0 + 0.2 + 5.0)
    assert plan.value([1, 1, 0]) == pytest.approx(9.1)


def test_forbidden_pairs_and_edges():
    barred = small(merge_loss=[[INF, INF], [INF]])
    assert solve(barred).decision.tolist() == [0, 0, 0]
    stay = small(edge_loss=[[[INF, INF]]], merge_loss=[[0.0, 0.0], [0.0]])
    for name in (*CUTS, "scipy_milp"):
        assert solve(stay, name).decision.tolist() == [1, 1, 1]
    assert "must stay" in stay.violations([1, 0, 1])[0]


def test_no_pairs():
    assert solve(small(merge_loss=[[], []], edge_loss=[np.zeros((0, 0))])).value == small().price * small(
        merge_loss=[[], []], edge_loss=[np.zeros((0, 0))]
    ).expected_macs([])
    assert solve(ClusterPlan([], [], [1.0], 2, [], [1, 1], 1.0)).value == pytest.approx(8 / 3)


@pytest.mark.parametrize("scale", [1e-300, 1e280])
@pytest.mark.parametrize("name", CUTS)
def test_extreme_scales(name, scale):
    scaled = small(merge_loss=[[0.1 * scale, 9 * scale], [0.2 * scale]], edge_loss=[[[5 * scale] * 2]], price=scale)
    assert solve(scaled, name).decision.tolist() == solve(small(), name).decision.tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"merge_loss": [[0.1, math.nan], [0.2]]}, r"merge_loss\[0\]\[1\] is nan"),
        ({"merge_loss": 3.0}, "sequence"),
        ({"merge_loss": [[0.1], [0.2], [0.3]]}, "edge_loss has 1 arrays; 3 layers"),
        ({"edge_loss": [[[1.0]]]}, r"edge_loss\[0\] has shape \(1, 1\)"),
        ({"edge_loss": [[[1.0, -INF]]]}, r"edge_loss\[0\]\[0, 1\] is -inf"),
        ({"macs": [1.0, 1.0]}, r"macs has shape \(2,\)"),
        ({"macs": [1.0, -1.0, 1.0]}, "macs must be at least 0"),
        ({"price": -1.0}, "price must be at least 0"),
        ({"price": math.nan}, "price is nan"),
        ({"price": "dear"}, "price must hold real numbers"),
        ({"price": 1e300}, "rescale"),
        ({"inputs": 1.5}, r"inputs\[0\] is 1\.5"),
        ({"singles": [[0, 0]]}, r"singles has shape \(1, 2\)"),
        ({"singles": [[0, -1], [0, 0]]}, r"singles\[0, 1\] is -1"),
        ({"heads": [1]}, r"heads has shape \(1,\)"),
        ({"weights": [0.0, 0.0, 0.0]}, "one above 0"),
    ],
)
def test_malformed_problems_say_where(changes, words):
    with pytest.raises(ProblemError, match=words):
        small(**changes)


@pytest.mark.parametrize("decision", [[0, 1], [0.0, 1.0, 0.0], [0, 1, 2], None, "x", [[0], [1, 2]]])
def test_violations_survive_rubbish(decision):
    with pytest.raises(ProblemError, match=r"plan must be|apart"):
        small().check(decision)


def test_round_trip(tmp_path):
    for seed in range(10):
        problem = clusters(np.random.default_rng(seed), True)
        read = load_problem(problem.save(tmp_path / "clusters.npz"))
        assert isinstance(read, ClusterPlan)
        assert solve(read, "max_flow").value == solve(problem, "max_flow").value


@pytest.mark.parametrize(("name", "array"), [("sizes", [3, 3]), ("price", [1.0]), ("edge_loss", np.zeros(5))])
def test_damaged_files_are_named(tmp_path, name, array):
    arrays = small().arrays() | {name: np.asarray(array), "schema": np.array(ClusterPlan.schema())}
    np.savez(tmp_path / "damaged.npz", **arrays)
    with pytest.raises(ProblemError, match=r"damaged\.npz"):
        ClusterPlan.load(tmp_path / "damaged.npz")
