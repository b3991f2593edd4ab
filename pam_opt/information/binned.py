"""Information of discretised activations."""

import math

import torch

from pam_opt.information.kernels import KernelEstimator


class BinnedInformation(KernelEstimator):
    """Plug-in information of activations that are rounded to bins.

    A unit's bin is ``round(x / w)`` with ``w = sqrt(12 v)``: rounding to that width adds an error of the variance v of
    the noise. Samples are in one cell of a set when they share the bins of all its units (at all P positions), so the
    cell indicator is a product of kernels ``k_ij`` of zeros and ones, and

    ``I(S; Y) = mean_i [log share of i's cell within its class - log share of i's cell]``

    is the information of the empirical distribution, by the rules and at the costs of other kernels.

    B samples fill at most B cells. Once every sample has a cell of its own, the estimate is the entropy of the label,
    whatever the units say; before that it is too large by about (cells - 1)(classes - 1) / 2B nats [1]. It is of use
    for sets that spread over far fewer cells than there are samples: a few units, or many that hardly vary.

    Examples
    --------
    >>> values = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]])
    >>> both = BinnedInformation(values, torch.tensor([0, 0, 1, 1]))
    >>> round(both.information([0]), 4), abs(round(both.information([1]), 4))
    (0.6931, 0.0)

    References
    ----------
    .. [1] G. Miller, "Note on the bias of information estimates", Information Theory in Psychology, 1955.
    """

    def _features(self, values: torch.Tensor) -> torch.Tensor:
        return (values.double() / math.sqrt(12 * self.noise)).round_()

    def _log_kernels(self, features: torch.Tensor) -> torch.Tensor:
        same = (features[:, :, None] == features[:, None]).all(dim=-1)
        return torch.zeros(same.shape, dtype=torch.float64, device=same.device).masked_fill_(~same, -math.inf)
