"""Statistics of batch norms, set anew from data."""

import torch
from torch import Tensor, nn

from pam_opt.data import checked
from pam_opt.errors import DataError
from pam_opt.folding import Folded, NormState
from pam_opt.network import MultitaskNetwork
from pam_opt.training import Batches


@torch.no_grad()
def reestimate_batch_norms(network: MultitaskNetwork, calibration: Batches) -> None:
    """Replace the running statistics of all batch norms by the mean over the calibration batches.

    Raises
    ------
    DataError : a batch of one sample; and see `pam_opt.data.checked`
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta, seen = [norm.momentum for norm in norms], 0
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        for x, _ in checked(calibration, (), what="calibration"):
            if norms and len(x) == 1:
                raise DataError("calibration: a batch has one sample, too few for reestimate=True; use larger batches")
            seen += len(x)
            for norm in norms:
                norm.momentum = len(x) / seen  # the running mean over all samples so far
            network(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def observed_norm(outputs: tuple[Tensor, Tensor], fitted: Folded, state: NormState | None) -> NormState | None:
    """Write the norm of fitted units so that batch statistics in training agree with the running ones.

    Parameters
    ----------
    outputs : mean and variance (units,) of what the fitted weights give, without the bias
    state : as written so far; None for a layer without a norm
    """
    if state is None:
        return None
    mean, variance = outputs
    return NormState(state.variance, variance.sqrt(), fitted.bias + mean)
