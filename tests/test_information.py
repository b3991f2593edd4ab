"""Estimates of information: closed forms, the published formula, and sets that grow."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pam_opt.errors import DataError, PlanError
from pam_opt.information import ESTIMATORS, BinnedInformation, GaussianInformation, KernelInformation
from pam_opt_solvers.problems.gaussian_information import GaussianInformation as Covariances

FAR = 9.0
"""Beside a noise of standard deviation 0.3: samples this far apart never overlap."""

all_estimators = pytest.mark.parametrize("name", ESTIMATORS)
kernel_estimators = pytest.mark.parametrize("name", ["kde", "binned"])


def relu_layer(units: int, samples: int = 40, labels: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Make activations with a dead, a constant and a duplicated unit, and labels some of which are missing."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.relu(0.5 * torch.randn(samples, units, generator=generator))
    values[:, 0], values[:, 1], values[:, 3] = 0.0, 2.0, values[:, 2]
    targets = (torch.rand(samples, labels, generator=generator) > 0.6).float()
    targets[3, 1] = targets[7, 2] = targets[8, 2] = math.nan
    return values, targets


def published_formula(values: torch.Tensor, labels: torch.Tensor, noise: float = 0.1) -> float:
    """Return the information of all units by entropies, terms in the dimension included."""
    joint = values.double().flatten(1)
    squared = ((joint[:, None] - joint) ** 2).sum(dim=-1)

    def entropy(rows: torch.Tensor) -> float:
        dimension = joint.shape[1]
        constant = dimension / 2 * math.log(2 * math.pi * noise)
        sums = torch.logsumexp(-squared[rows][:, rows] / (2 * noise), dim=1) - math.log(len(rows)) - constant
        return float(dimension / 2 - sums.mean())

    total = 0.0
    for label in labels.T:
        given = (~label.isnan()).nonzero()[:, 0]
        classes = [rows for value in (0, 1) if len(rows := (label == value).nonzero()[:, 0])]
        total += entropy(given) - sum(len(rows) / len(given) * entropy(rows) for rows in classes)
    return total


def xor() -> tuple[torch.Tensor, torch.Tensor]:
    """Make two units that tell nothing apart and everything together."""
    values = torch.tensor([[0.0, 0.0], [0.0, FAR], [FAR, 0.0], [FAR, FAR]])
    return values, torch.tensor([[0.0], [1.0], [1.0], [0.0]])


@pytest.mark.parametrize("members", [[0], [2], [0, 1], [2, 3], [4, 5, 6], list(range(12))])
def test_kde_is_the_published_formula(members: list[int]) -> None:
    values, labels = relu_layer(12)
    expected = published_formula(values[:, members], labels)
    assert KernelInformation(values, labels).information(members) == pytest.approx(expected, abs=1e-12)


def test_kde_of_maps_sums_distances_over_positions() -> None:
    generator = torch.Generator().manual_seed(0)
    values, labels = 0.2 * torch.randn(30, 4, 9, generator=generator), relu_layer(5, 30)[1]
    expected = published_formula(values[:, [1, 3]], labels)
    assert KernelInformation(values, labels).information([1, 3]) == pytest.approx(expected, abs=1e-12)


@kernel_estimators
def test_xor_tells_nothing_alone_and_everything_together(name: str) -> None:
    estimator = ESTIMATORS[name](*xor())
    assert [estimator.information([unit]) for unit in (0, 1)] == pytest.approx([0, 0], abs=1e-12)
    assert estimator.information([0, 1]) == pytest.approx(math.log(2), abs=1e-12)


def test_gaussian_sees_the_correlations_of_xor_and_no_more() -> None:
    """Class means are equal and covariances are +-FAR^2/4: 1/2 log((1+a)^2 / ((1+a)^2 - a^2)) with a = FAR^2 / 4v."""
    estimator, a = GaussianInformation(*xor()), FAR**2 / 0.4
    assert [estimator.information([unit]) for unit in (0, 1)] == pytest.approx([0, 0], abs=1e-12)
    expected = 0.5 * math.log((1 + a) ** 2 / ((1 + a) ** 2 - a**2))
    assert estimator.information([0, 1]) == pytest.approx(expected, abs=1e-9)


@kernel_estimators
def test_independent_copies_and_joint_labels(name: str) -> None:
    """Two fair bits as a joint label of four classes: each unit tells one bit, a copy of a unit tells nothing more."""
    first, second = torch.tensor([0.0, 0.0, FAR, FAR]), torch.tensor([0.0, FAR, 0.0, FAR])
    values, label = torch.stack([first, second, first], dim=1).repeat(5, 1), torch.arange(4).repeat(5)
    estimator = ESTIMATORS[name](values, label)
    found = [estimator.information(members) for members in ([0], [1], [0, 2], [0, 1], [0, 1, 2])]
    assert found == pytest.approx([math.log(2)] * 3 + [math.log(4)] * 2, abs=1e-12)
    bits = torch.stack([label // 2, label % 2], dim=1).float()
    summed = ESTIMATORS[name](values, bits)
    assert [summed.information([0]), summed.information([0, 1])] == pytest.approx([math.log(2), math.log(4)], abs=1e-12)


def test_gaussian_channel() -> None:
    """A class that fixes its units leaves noise: I = 1/2 logdet(I + C / v) of the class means."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(6, 4, generator=generator).double()
    covariance = torch.cov(means.T, correction=0)
    expected = 0.5 * float(torch.logdet(torch.eye(4) + covariance / 0.1))
    estimator = GaussianInformation(means.repeat(3, 1), torch.arange(6).repeat(3))
    assert estimator.information(range(4)) == pytest.approx(expected, abs=1e-9)


def test_gaussian_sums_the_information_that_solvers_use() -> None:
    values, labels = relu_layer(12)
    expected = 0.0
    for label in labels.T.numpy():
        units, of = values.double().numpy()[~np.isnan(label)], label[~np.isnan(label)]
        within = np.stack([np.cov(units[of == value].T, bias=True) for value in (0, 1)])
        shares = np.array([(of == value).mean() for value in (0, 1)])
        expected += Covariances(np.cov(units.T, bias=True), within, shares, 0.1).value(np.arange(12))
    assert GaussianInformation(values, labels).information(range(12)) == pytest.approx(expected, abs=1e-9)


def test_kde_and_gaussian_agree_where_classes_are_gaussian_and_wide() -> None:
    """Two wide classes, well sampled, close together: both see 1/2 log(1 + 0.5^2), the overall spread nearly Gaussian.

    The tolerance is a sixth: each sample counts among its own neighbours, about a hundred here, which adds a few
    per cent to the information in `kde`, and `kde` looks at the smoothed densities where the samples are.
    """
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(2).repeat(500)
    values = 0.5 * (2 * label[:, None] - 1) + torch.randn(1000, 1, generator=generator)
    found = [ESTIMATORS[name](values, label, 0.05).information([0]) for name in ("kde", "gaussian")]
    assert found[0] == pytest.approx(found[1], rel=1 / 6)
    assert found[1] == pytest.approx(0.5 * math.log(1.25), rel=1 / 6)


def test_kde_is_twice_the_information_of_small_signals() -> None:
    """Far below the noise, means +-a carry a^2 / 2v; bounds by Kullback-Leibler divergence see a^2 / v."""
    values, label = 0.01 * torch.tensor([[-1.0], [1.0]]), torch.arange(2)
    found = [ESTIMATORS[name](values, label).information([0]) for name in ("kde", "gaussian")]
    assert found == pytest.approx([1e-3, 0.5e-3], rel=1e-2)


def test_binned_is_the_plug_in_estimate_of_a_joint_histogram() -> None:
    values, labels = relu_layer(8)
    cells = [tuple(row) for row in np.round(values[:, [2, 4, 6]].double().numpy() / math.sqrt(1.2)).tolist()]
    expected = 0.0
    for label in labels.T.tolist():
        known = [(cell, value) for cell, value in zip(cells, label, strict=True) if not math.isnan(value)]
        expected += _entropy([c for c, _ in known]) + _entropy([y for _, y in known]) - _entropy(known)
    assert BinnedInformation(values, labels).information([2, 4, 6]) == pytest.approx(expected, abs=1e-12)


def _entropy(symbols: Sequence[object]) -> float:
    shares = np.array([symbols.count(symbol) for symbol in set(symbols)]) / len(symbols)
    return float(-(shares * np.log(shares)).sum())


@all_estimators
@pytest.mark.parametrize("units", [12, 90], ids=["fewer units than samples", "more"])
def test_growth_gives_what_sets_give(name: str, units: int) -> None:
    values, labels = relu_layer(units)
    estimator = ESTIMATORS[name](values, labels)
    growth, order = estimator.grow(), np.random.default_rng(0).permutation(units)[:20].tolist()
    for step, unit in enumerate(order):
        others = torch.tensor([u for u in range(0, units, 5) if u not in order[:step]], dtype=torch.long)
        direct = [estimator.information([*order[:step], int(other)]) for other in others]
        assert growth.values(others).tolist() == pytest.approx(direct, abs=growth.tolerance + 1e-9)
        assert growth.precise(others).tolist() == pytest.approx(direct, abs=1e-9)
        growth.add(unit)
        assert growth.value == pytest.approx(estimator.information(order[: step + 1]), abs=1e-9)
    assert growth.members == order
    assert growth.values()[order].tolist() == [growth.value] * len(order)


@all_estimators
def test_order_of_units_and_samples_does_not_matter(name: str) -> None:
    values, labels = relu_layer(12)
    generator = np.random.default_rng(0)
    units, samples = generator.permutation(12).tolist(), generator.permutation(40).tolist()
    shuffled = ESTIMATORS[name](values[samples][:, units], labels[samples])
    expected = ESTIMATORS[name](values, labels).information([units[2], units[7], units[9]])
    assert shuffled.information([9, 2, 7]) == pytest.approx(expected, abs=1e-12)


@all_estimators
def test_constant_units_add_nothing(name: str) -> None:
    values, labels = relu_layer(12)
    estimator = ESTIMATORS[name](values, labels)
    assert estimator.information([0]) == pytest.approx(0, abs=1e-12)
    assert estimator.information([0, 1, 5, 6]) == pytest.approx(estimator.information([5, 6]), abs=1e-12)
    growth = estimator.grow()
    growth.add(5)
    assert growth.precise(torch.tensor([0, 1])).tolist() == pytest.approx([growth.value] * 2, abs=1e-12)


@all_estimators
def test_duplicates_have_the_same_values_to_the_last_bit_or_the_precise_one(name: str) -> None:
    growth = ESTIMATORS[name](*relu_layer(12)).grow()
    growth.add(5)
    precise = growth.precise(torch.tensor([2, 3]))
    assert float(precise[0]) == pytest.approx(float(precise[1]), abs=1e-12)
    if growth.tolerance:
        values = growth.values()
        assert values[2] == values[3]
        assert values[0] == values[1]


@all_estimators
def test_missing_labels_leave_their_samples_out(name: str) -> None:
    values, labels = relu_layer(12)
    total = ESTIMATORS[name](values, labels).information([2, 5])
    parts = [
        ESTIMATORS[name](values[~label.isnan()], label[~label.isnan()][:, None]).information([2, 5])
        for label in labels.T
    ]
    assert total == pytest.approx(sum(parts), abs=1e-12)


@all_estimators
def test_joint_labels_may_be_missing(name: str) -> None:
    values, label = relu_layer(12)[0], torch.arange(40) % 4 - 1
    given = label >= 0
    expected = ESTIMATORS[name](values[given], label[given]).information([2, 5])
    assert ESTIMATORS[name](values, label).information([2, 5]) == pytest.approx(expected, abs=1e-12)


@all_estimators
def test_labels_of_one_class_tell_nothing(name: str) -> None:
    values = relu_layer(12)[0]
    constant = ESTIMATORS[name](values, torch.ones(40, 2))
    assert constant.information(range(12)) == 0.0
    growth = constant.grow()
    growth.add(4)
    assert growth.value == 0.0
    assert growth.values().tolist() == [0.0] * 12


@all_estimators
def test_other_labels_of_the_same_units(name: str) -> None:
    values, labels = relu_layer(12)
    first = ESTIMATORS[name](values, labels)
    before = first.information([2, 5, 6])
    second = first.for_labels(labels[:, :1])
    assert second.information([2, 5, 6]) == ESTIMATORS[name](values, labels[:, :1]).information([2, 5, 6])
    assert first.information([2, 5, 6]) == before


@all_estimators
def test_information_is_bounded_for_kernels_and_empty_sets_have_none(name: str) -> None:
    values, labels = relu_layer(90)
    estimator = ESTIMATORS[name](FAR * values, labels)
    assert estimator.information([]) == pytest.approx(0, abs=1e-12)
    if name != "gaussian":
        entropy = sum(_entropy(label[~label.isnan()].tolist()) for label in labels.T)
        assert estimator.information(range(90)) == pytest.approx(entropy, abs=1e-9)


@kernel_estimators
def test_kernels_that_do_not_fit_the_cache_are_computed_anew(name: str) -> None:
    values, labels = relu_layer(12)
    kinds = {"kde": KernelInformation, "binned": BinnedInformation}
    growths = [kinds[name](values, labels, cache_bytes=limit).grow() for limit in (0, 2**30)]
    for growth in growths:
        growth.add(4)
    assert torch.equal(growths[0].values(), growths[1].values())


@all_estimators
def test_sizes_zero_and_one(name: str) -> None:
    nothing = ESTIMATORS[name](torch.zeros(5, 0), torch.ones(5, 1)).grow()
    assert nothing.values().shape == (0,)
    single = ESTIMATORS[name](torch.zeros(1, 3), torch.ones(1, 1))
    assert single.information([0, 1]) == 0.0


@kernel_estimators
def test_enormous_activations_saturate(name: str) -> None:
    values = torch.tensor([[0.0], [1e30], [-1e38], [1e38]])
    estimator = ESTIMATORS[name](values, torch.tensor([0, 0, 1, 1]))
    assert estimator.information([0]) == pytest.approx(math.log(2), abs=1e-12)
    assert estimator.grow().values().tolist() == pytest.approx([math.log(2)], abs=1e-6)


def test_bad_input_is_refused_with_a_sentence() -> None:
    values, labels = relu_layer(12)
    broken = values.clone()
    broken[3, 7] = math.nan
    for activations, targets, noise, error, words in (
        (broken, labels, 0.1, DataError, "unit 7 hold NaN"),
        (values[0], labels, 0.1, DataError, "pass floats"),
        (values.long(), labels, 0.1, DataError, "pass floats"),
        (values, labels[:9], 0.1, DataError, r"labels have shape \(9, 3\)"),
        (values, labels + 1, 0.1, DataError, "besides 0, 1 and NaN"),
        (values, labels[:, 0], 0.1, DataError, "dtype float"),
        (values, labels, 0.0, PlanError, "variance above 0"),
        (values, labels, math.nan, PlanError, "variance above 0"),
    ):
        with pytest.raises(error, match=words):
            KernelInformation(activations, targets, noise)
    with pytest.raises(PlanError, match="takes one"):
        GaussianInformation(values[..., None].expand(-1, -1, 4), labels)
    with pytest.raises(PlanError, match="raise the noise"):
        GaussianInformation(1e6 * values, labels)


@all_estimators
def test_a_unit_comes_in_once(name: str) -> None:
    growth = ESTIMATORS[name](*relu_layer(12)).grow()
    growth.add(4)
    for unit, words in ((4, "already"), (12, "does not exist"), (-1, "does not exist")):
        with pytest.raises(PlanError, match=words):
            growth.add(unit)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@all_estimators
def test_gpu_gives_what_the_processor_gives(name: str) -> None:
    values, labels = relu_layer(90)
    growths = [ESTIMATORS[name](values.to(device), labels).grow() for device in ("cpu", "cuda")]
    for growth in growths:
        growth.add(4)
    assert growths[1].values().tolist() == pytest.approx(growths[0].values().tolist(), abs=1e-5)
