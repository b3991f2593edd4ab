"""What kernels say about labels: the mean log-ratio of the mean kernel within the own class to that of all samples."""

from functools import cached_property

import torch


class LogRatios:
    """Information about labels from kernels between samples.

    ``I = sum over labels of mean_i [log mean_{j in class of i} k_ij - log mean_j k_ij]``

    Parameters
    ----------
    labels : per label (classes, B) bool, samples in no class left out for that label
    samples, device : B, and where to work
    """

    def __init__(self, labels: list[torch.Tensor], samples: int, device: torch.device) -> None:
        self._self = torch.eye(samples, dtype=torch.bool, device=device)
        masks: dict[bytes, torch.Tensor] = {}
        factors: dict[bytes, torch.Tensor] = {}
        self._offset = 0.0
        for index, classes in enumerate(labels):
            given = classes.any(dim=0)
            share = given.double() / given.sum()
            own = (classes.double().T @ classes.double()).bool()
            everyone = given.cpu().numpy().tobytes()  # labels that the same samples have share this column
            for key, mask, factor in ((b"%d" % index, own, share), (everyone, given & given[:, None], -share)):
                masks[key] = mask | self._self
                factors[key] = factors.get(key, 0.0) + factor
            sizes = classes.sum(dim=1).double()
            self._offset -= float((sizes * (sizes / sizes.sum()).log()).sum() / sizes.sum())
        empty = torch.zeros(samples, 0, samples, device=device)
        self.masks = torch.stack(list(masks.values()), dim=1).double() if masks else empty.double()
        self._factors = torch.stack(list(factors.values()), dim=1).flatten() if masks else empty.double().flatten()

    @cached_property
    def single_masks(self) -> torch.Tensor:
        """The masks in float32."""
        return self.masks.float()

    def information(self, kernels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return (n,) float64 nats for (n, B, B) kernels, times whatever multiplies the (B, C, B) masks in weights.

        Row i of all kernels is one matrix product with the C weights of row i: nothing of size (n, B, B) is written.
        """
        sums = torch.bmm(weights, kernels.permute(1, 2, 0))  # (B, C, n); at least 1, the sample itself
        return self._factors @ sums.log_().double().flatten(0, 1) + self._offset
