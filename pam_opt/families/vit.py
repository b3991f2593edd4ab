"""A small vision transformer."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from pam_opt.errors import ConfigError
from pam_opt.families._checks import check_count, check_flag, image_shape


class EncoderBlock(nn.Module):
    """Add self-attention, then a perceptron, to a stream of tokens; both read it through a layer norm.

    Parameters
    ----------
    width : channels of the stream
    heads : of the attention, each of ``width / heads`` channels
    hidden : units of the perceptron
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """Take and return (N, tokens, width)."""
        read = self.norm1(x)
        x = x + self.attention(read, read, read, need_weights=False)[0]
        return x + self.perceptron(self.norm2(x))


class VisionTransformer(nn.Module):
    """Embed patches, add positions, run encoder blocks, pool the tokens, and read them by a linear head.

    Parameters
    ----------
    embedding : convolution of the image into one token for each patch
    patches : number of patches
    blocks : read and write (N, tokens, width)
    class_token : read a token of its own, not the mean of all
    outputs : of the head
    """

    def __init__(
        self, embedding: nn.Conv2d, patches: int, blocks: Iterable[EncoderBlock], class_token: bool, outputs: int
    ) -> None:
        super().__init__()
        width = embedding.out_channels
        self.embedding = embedding
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.position = nn.Parameter(torch.randn(1, patches + class_token, width) * 0.02)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, C, H, W) and return (N, outputs)."""
        x = self.embedding(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.norm(self.blocks(x + self.position))
        return self.head(x.mean(dim=1) if self.token is None else x[:, 0])


def vit(
    input_shape: Sequence[int],
    outputs: int,
    *,
    patch: int = 4,
    width: int = 64,
    heads: int = 4,
    hidden: int = 128,
    depth: int = 4,
    class_token: bool = False,
) -> VisionTransformer:
    """Build a small vision transformer [1]: pre-norm encoder blocks on patches of the image.

    Its steps, for whoever traces it: a convolution of stride `patch`, ``flatten(2).transpose(1, 2)``, addition of a
    parameter (1, tokens, width), per block two residual sums around ``nn.LayerNorm`` and ``nn.MultiheadAttention``
    (``batch_first``, one signal for queries, keys and values, ``[0]`` of what it returns) or two linear layers, a last
    layer norm, and ``mean(dim=1)`` over tokens. With `class_token` a parameter is expanded over the batch and stands in
    front of the tokens, and ``[:, 0]`` reads it. ViT-B/16 is ``vit((3, 224, 224), 1000, patch=16, width=768, heads=12,
    hidden=3072, depth=12, class_token=True)``: 86.6 M parameters.
    Deviation: by default the head reads the mean of all tokens [2], not a class token; no dropout.

    Parameters
    ----------
    input_shape : (C, H, W); `patch` divides H and W
    patch : pixels of a patch's side
    width : channels of the tokens; `heads` divides it
    heads : of every attention
    hidden : units between the two linear layers of every block
    depth : number of blocks
    class_token : whether the head reads a token of its own

    Raises
    ------
    ConfigError : impossible options, or an image that `patch` does not divide

    [1] Dosovitskiy et al., An image is worth 16x16 words, arXiv:2010.11929
    [2] Beyer, Zhai and Kolesnikov, Better plain ViT baselines for ImageNet-1k, arXiv:2205.01580
    """
    counts = {"patch": patch, "width": width, "heads": heads, "hidden": hidden, "depth": depth}
    for name, value in counts.items():
        check_count(name, value)
    check_flag("class_token", class_token)
    channels, rows, columns = image_shape(input_shape, patch)
    if rows % patch or columns % patch:
        raise ConfigError(f"input shape {tuple(input_shape)}: patches of {patch} x {patch} pixels do not tile it")
    if width % heads:
        raise ConfigError(f"width {width} with {heads} heads: give a width that the number of heads divides")
    embedding = nn.Conv2d(channels, width, patch, stride=patch)
    blocks = [EncoderBlock(width, heads, hidden) for _ in range(depth)]
    return VisionTransformer(embedding, (rows // patch) * (columns // patch), blocks, class_token, outputs)
