"""Losses to give a `Task` by name, beside its default."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def tanh_mse(outputs: Tensor, target: Tensor) -> Tensor:
    """Return PAM's loss [1]_: the mean squared error of tanh(output) to binary labels -1 and +1.

    Parameters
    ----------
    outputs, target : (N, L); the target holds zeros and ones

    .. [1] He et al., Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
    """
    return functional.mse_loss(outputs.tanh(), 2 * target - 1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"tanh-mse": tanh_mse}
"""Name in a configuration -> loss (outputs, target) -> scalar."""
