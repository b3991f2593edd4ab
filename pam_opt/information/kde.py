"""Kernel density estimate of information, as published for PAM's regrouping."""

import torch

from pam_opt.information.kernels import KernelEstimator


class KernelInformation(KernelEstimator):
    """Joint information from pairwise bounds on entropies of Gaussian mixtures [1], as PAM estimates it [2].

    Every sample is a Gaussian of variance v around its activations s_i, D units in all. With the upper bound

    ``h(S) = D/2 - mean_i [logsumexp_j(-|s_i - s_j|^2 / 2v) - log B - D/2 log(2 pi v)]``

    for all samples and for those of each class, ``I(S; Y) = h(S) - sum_y p_y h(S | y)``. As the shares p_y of the
    classes sum to 1, all terms with D cancel; with kernels ``k_ij = exp(-|s_i - s_j|^2 / 2v)`` what is left is

    ``I(S; Y) = mean_i [log mean_{j in class of i} k_ij - log mean_j k_ij]``,

    summed over labels. Squared distances add over units (and over the P positions of flattened maps), so kernels
    multiply: a candidate costs O(B^2). Set kernels are kept in float64, unit kernels in float32.

    The estimate is at most the entropy of the label, and reaches it as soon as all samples are far apart compared with
    sqrt(v), informative or not: with few samples it ranks small sets and says little about large ones. It is a
    difference of bounds, so it is neither a bound itself nor exactly monotone in the set: units that fire on a few
    samples can lower it by 1e-3 nats. Of signals far below the noise it sees twice the true information.

    Examples
    --------
    >>> values = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]])
    >>> xor = KernelInformation(values, torch.tensor([[0.0], [1.0], [1.0], [0.0]]))
    >>> round(xor.information([0]), 4), round(xor.information([0, 1]), 4)
    (0.0, 0.6931)

    References
    ----------
    .. [1] A. Kolchinsky, B. Tracey, "Estimating Mixture Entropy with Pairwise Distances", Entropy 19(7), 2017,
       arXiv:1706.02419.
    .. [2] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, "Pruning-Aware Merging for Efficient Multitask Inference",
       KDD 2021, arXiv:1905.09676.
    """

    def _log_kernels(self, features: torch.Tensor) -> torch.Tensor:
        features = features.double()
        if features.shape[-1] == 1:
            distances = (features - features.transpose(1, 2)).square_()
        else:
            distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist").square_()
        return distances.mul_(-0.5 / self.noise)
