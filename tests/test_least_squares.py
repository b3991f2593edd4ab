"""Ridge least squares from rows that come batch by batch: both forms, and the solution written out."""

import pytest
import torch

from pam_opt.errors import DataError
from pam_opt.merging.least_squares import InputProducts, Regression, RowProducts

GROUP = frozenset("a")


def filled(form, rows=40, values=12, held=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.cat([torch.randn(rows, values, generator=generator), torch.ones(rows, 1)], dim=1)
    y = torch.randn(rows, 3, generator=generator)
    regression = form(values, "layer")
    for part, is_held in ((slice(0, rows - held), False), (slice(rows - held, rows), True)):
        half = (part.start + part.stop) // 2
        for some in (slice(part.start, half), slice(half, part.stop)):
            regression.add(x[some], {GROUP: y[some]}, is_held)
    return regression, x.double(), y.double()


@pytest.mark.parametrize("form", [InputProducts, RowProducts])
@pytest.mark.parametrize("rows", [6, 40])
@pytest.mark.parametrize("intercept", [True, False])
def test_both_forms_solve_the_normal_equations(form, rows, intercept):
    regression, x, y = filled(form, rows, held=2)
    read = torch.tensor([0, 2, 3, 7, *([12] if intercept else [])])
    x = x[:, read]
    pull = torch.full((len(read),), 0.3 * float(x[:, :4].square().sum() / 4), dtype=torch.float64)
    if intercept:
        pull[-1] = 1e-9 * rows
    wanted = torch.linalg.solve(x.T @ x + torch.diag(pull), x.T @ y)
    torch.testing.assert_close(regression.step(GROUP, read, 0.3, intercept), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_both_forms_choose_the_same_ridge_and_see_the_same_outputs(seed):
    forms = [filled(form, 16, 12, 4, seed)[0] for form in (InputProducts, RowProducts)]
    read, weight = torch.arange(13), torch.randn(2, 12, dtype=torch.float64)
    assert len({form.best_ridge(GROUP, read, True) for form in forms}) == 1
    for one, two in zip(*(form.output_moments(torch.arange(12), weight) for form in forms), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-6)


def test_the_smaller_form_is_taken():
    assert isinstance(Regression.of(100, "layer", rows=99), RowProducts)
    assert isinstance(Regression.of(100, "layer", rows=100), InputProducts)


@pytest.mark.parametrize("form", [InputProducts, RowProducts])
def test_an_overflow_names_the_layer(form):
    regression = form(2, "conv7")
    regression.add(torch.full((4, 3), 1e30), {GROUP: torch.full((4, 1), 1e30)}, False)
    with pytest.raises(DataError, match="'conv7'"):
        regression.step(GROUP, torch.arange(3), 1.0, True)
