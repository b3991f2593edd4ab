"""Small modules with branches, one for every kind of tie, for the tests of tracing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Written(nn.Module):
    """A module of submodules and a forward function of (self, x)."""

    def __init__(self, function: Callable, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def conv(inputs: int, outputs: int, kernel: int = 3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=options.pop("bias", False), **options)


def net(function: Callable, channels: int, **modules: nn.Module) -> nn.Module:
    """Put a stem in front of a function of maps and a global pooling head behind it."""

    def run(self, x):
        x = functional.adaptive_avg_pool2d(function(self, self.stem(x)), 1)
        return self.head(torch.flatten(x, 1))

    stem = nn.Sequential(conv(2, 4), nn.BatchNorm2d(4), nn.ReLU())
    return Written(run, stem=stem, head=nn.Linear(channels, 3), **modules)


def residual() -> nn.Module:
    def run(self, x):
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + x)

    return net(run, 4, conv1=conv(4, 6), norm1=nn.BatchNorm2d(6), conv2=conv(6, 4), norm2=nn.BatchNorm2d(4))


def residual_in_place() -> nn.Module:
    def run(self, x):
        y = self.conv(x)
        y += x
        y = self.relu(y)
        return self.other(y) + y

    return net(run, 4, conv=conv(4, 4), other=conv(4, 4), relu=nn.ReLU(inplace=True))


def in_place_on_a_stream() -> nn.Module:
    return net(lambda self, x: self.conv(self.relu(x)) + x, 4, conv=conv(4, 4), relu=nn.LeakyReLU(-0.5, inplace=True))


def pre_activation() -> nn.Module:
    def run(self, x):
        for norm, first in ((self.norm1, self.conv1), (self.norm2, self.conv2)):
            x = x + first(functional.relu(norm(x)))
        return functional.relu(self.norm3(x))

    norms = {f"norm{index}": nn.BatchNorm2d(4) for index in (1, 2, 3)}
    return net(run, 4, conv1=conv(4, 4), conv2=conv(4, 4), **norms)


def bottleneck() -> nn.Module:
    def run(self, x):
        y = self.body(x)
        return torch.relu(torch.add(y, self.shortcut(x)))

    body = nn.Sequential(
        conv(4, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), conv(3, 3, stride=2), nn.BatchNorm2d(3), nn.ReLU(), conv(3, 8, 1)
    )
    shortcut = nn.Sequential(conv(4, 8, 1, stride=2), nn.BatchNorm2d(8))
    return net(run, 8, body=body, shortcut=shortcut)


def depthwise_separable() -> nn.Module:
    body = nn.Sequential(conv(4, 4, groups=4), nn.BatchNorm2d(4), nn.ReLU6(), conv(4, 5, 1), nn.BatchNorm2d(5))
    return net(lambda self, x: self.body(x), 5, body=body)


def channel_multiplier() -> nn.Module:
    body = nn.Sequential(conv(4, 12, groups=4, bias=True), nn.BatchNorm2d(12), nn.ReLU(), conv(12, 5, 1))
    return net(lambda self, x: self.body(x), 5, body=body)


def inverted_residual() -> nn.Module:
    body = nn.Sequential(
        conv(4, 8, 1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        conv(8, 8, groups=8),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        conv(8, 4, 1),
        nn.BatchNorm2d(4),
    )
    return net(lambda self, x: x + self.body(x), 4, body=body)


def squeeze_and_excitation() -> nn.Module:
    def run(self, x):
        y = self.pool(x)
        return x * torch.sigmoid(self.up(torch.relu(self.down(y))))

    return net(run, 4, pool=nn.AdaptiveAvgPool2d(1), down=nn.Conv2d(4, 2, 1), up=nn.Conv2d(2, 4, 1))


def linear_squeeze() -> nn.Module:
    def run(self, x):
        b, c, _, _ = x.size()
        y = self.gate(self.pool(x).view(b, c)).view(b, c, 1, 1)
        return y.expand_as(x) * x

    gate = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4), nn.Hardsigmoid())
    return net(run, 4, pool=nn.AdaptiveAvgPool2d(1), gate=gate)


def mean_squeeze() -> nn.Module:
    def run(self, x):
        gate = torch.sigmoid(self.up(x.mean((2, 3))))
        return x * gate[:, :, None, None] + x * gate.unsqueeze(-1).unsqueeze(-1)

    return net(run, 4, up=nn.Linear(4, 4))


def dense_block() -> nn.Module:
    def run(self, x):
        x = torch.cat([x, self.conv1(torch.relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(torch.relu(self.norm2(x)))], dim=1)
        return torch.relu(self.norm3(x))

    norms = {"norm1": nn.BatchNorm2d(4), "norm2": nn.BatchNorm2d(7), "norm3": nn.BatchNorm2d(9)}
    return net(run, 9, conv1=conv(4, 3), conv2=conv(7, 2), **norms)


def gated_linear_unit() -> nn.Module:
    def run(self, x):
        a, b = self.norm(self.conv(x)).chunk(2, dim=1)
        return a * torch.sigmoid(b)

    return net(run, 5, conv=conv(4, 10, bias=True), norm=nn.BatchNorm2d(10))


def uneven_split() -> nn.Module:
    def run(self, x):
        a, b = torch.split(self.conv(x), [2, 4], 1)
        return torch.cat([self.left(a), b, x[:, :3]], 1)

    return net(run, 10, conv=conv(4, 6), left=conv(2, 3))


def sum_of_concatenations() -> nn.Module:
    def run(self, x):
        return torch.cat([self.a(x), self.b(x)], 1) + torch.cat([self.c(x), self.d(x)], 1) - self.e(x)

    modules = {"a": conv(4, 2), "b": conv(4, 4), "c": conv(4, 3), "d": conv(4, 3), "e": conv(4, 6)}
    return net(run, 6, **modules)


def grouped() -> nn.Module:
    body = nn.Sequential(
        conv(4, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), conv(6, 9, groups=3), nn.BatchNorm2d(9), nn.ReLU()
    )
    return net(lambda self, x: self.last(self.body(x)) + x, 4, body=body, last=conv(9, 4, 1))


def grouped_and_depthwise() -> nn.Module:
    def run(self, x):
        return self.wide(self.conv(x)) + self.narrow(self.conv(x))

    return net(run, 6, conv=conv(4, 6), wide=conv(6, 6, groups=3), narrow=conv(6, 6, groups=6))


def group_norm() -> nn.Module:
    body = nn.Sequential(conv(4, 6), nn.GroupNorm(3, 6), nn.ReLU(), conv(6, 4), nn.GroupNorm(2, 4))
    return net(lambda self, x: torch.relu(self.body(x) + x), 4, body=body)


def instance_norm() -> nn.Module:
    body = nn.Sequential(conv(4, 6), nn.InstanceNorm2d(6, affine=True), nn.ReLU(), nn.InstanceNorm2d(6))
    return net(lambda self, x: self.body(x), 6, body=body)


def shared_module() -> nn.Module:
    def run(self, x):
        return self.norm(self.conv(torch.relu(self.norm(self.conv(x)))))

    return net(run, 4, conv=conv(4, 4), norm=nn.BatchNorm2d(4))


def two_scales() -> nn.Module:
    def run(self, x):
        y = functional.max_pool2d(self.conv(x), 2)
        return self.last(torch.cat([torch.flatten(self.pool(y), 1), torch.flatten(self.pool(x), 1)], 1))[
            ..., None, None
        ]

    return net(run, 5, conv=conv(4, 3), pool=nn.AdaptiveMaxPool2d((2, 1)), last=nn.Linear(14, 5))


def constants() -> nn.Module:
    return net(lambda self, x: (1 - x) * 0.5 + self.conv(x / 2) * -self.conv(x + 1), 4, conv=conv(4, 4))


def two_stems() -> nn.Module:
    def run(self, x):
        y = torch.cat([self.one(x), x, self.two(x)], 1)
        return self.head(self.last(y).mean([2, 3]))

    modules = {"one": conv(2, 3), "two": conv(2, 4), "last": conv(9, 5), "head": nn.Linear(5, 3)}
    return Written(run, **modules)


def prelu() -> nn.Module:
    body = nn.Sequential(conv(4, 5), nn.PReLU(5), conv(5, 4), nn.PReLU())
    return net(lambda self, x: self.body(x) + x, 4, body=body)


def local_response() -> nn.Module:
    def run(self, x):
        return self.conv(self.norm(x)) + x

    return net(run, 4, conv=conv(4, 4), norm=nn.LocalResponseNorm(3))


def shuffled() -> nn.Module:
    return net(
        lambda self, x: self.conv(self.shuffle(self.wide(x))),
        4,
        wide=conv(4, 6),
        shuffle=nn.ChannelShuffle(2),
        conv=conv(6, 4),
    )


def softmax_head() -> nn.Module:
    return nn.Sequential(conv(2, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.Softmax(1))


def coarse_units() -> nn.Module:
    """A grouped convolution on a residual stream: the units of the stream are its groups."""

    def run(self, x):
        x = x + self.inner(x)
        return self.other(x * torch.sigmoid(self.gate(functional.avg_pool2d(x, x.size(3))))) + x

    modules = {"inner": conv(4, 4, groups=2), "other": conv(4, 4), "gate": conv(4, 4, 1)}
    return net(run, 4, **modules)


class Attention(nn.Module):
    """Self-attention with one linear layer for queries, keys and values, folded as timm does."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        samples, tokens, width = x.shape
        qkv = self.qkv(x).reshape(samples, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        return self.proj(x.transpose(1, 2).reshape(samples, tokens, width))


class Encoder(nn.Module):
    """A pre-norm block with layer scale."""

    def __init__(self, width: int, attention: nn.Module) -> None:
        super().__init__()
        self.attention, self.norm1, self.norm2 = attention, nn.LayerNorm(width), nn.LayerNorm(width)
        self.scale = nn.Parameter(torch.randn(width))
        self.mlp = nn.Sequential(nn.Linear(width, 6), nn.GELU(), nn.Dropout(0.0), nn.Linear(6, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        if isinstance(self.attention, nn.MultiheadAttention):
            y, _ = self.attention(y, y, y, need_weights=False)
        else:
            y = self.attention(y)
        x = x + y * self.scale
        return x + self.mlp(self.norm2(x))


def transformer(attention: nn.Module, *, class_token: bool) -> nn.Module:
    def run(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        if class_token:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.norm(self.block(x + self.position))
        return self.head(x[:, 0] if class_token else x.mean(1))

    modules = {"patches": nn.Conv2d(2, 8, 4, 4), "block": Encoder(8, attention), "norm": nn.LayerNorm(8)}
    module = Written(run, head=nn.Linear(8, 3), **modules)
    module.token = nn.Parameter(torch.randn(1, 1, 8))
    module.position = nn.Parameter(torch.randn(1, 4 + class_token, 8))
    return module


def folded_heads() -> nn.Module:
    return transformer(Attention(8, 2), class_token=True)


def attention_module() -> nn.Module:
    return transformer(nn.MultiheadAttention(8, 2, batch_first=True), class_token=False)


def channels_last() -> nn.Module:
    """A block as in ConvNeXt: depthwise convolution, then linear layers on the last axis."""

    def run(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.down(functional.gelu(self.up(y)))
        return x + (self.scale * y.permute(0, 3, 1, 2))

    modules = {"depthwise": conv(4, 4, groups=4), "norm": nn.LayerNorm(4, eps=1e-6)}
    module = net(run, 4, up=nn.Linear(4, 7), down=nn.Linear(7, 4), **modules)
    module.scale = nn.Parameter(torch.randn(4, 1, 1))
    return module


MODULES: dict[str, Callable[[], nn.Module]] = {
    function.__name__: function
    for function in (
        residual,
        residual_in_place,
        in_place_on_a_stream,
        pre_activation,
        bottleneck,
        depthwise_separable,
        channel_multiplier,
        inverted_residual,
        squeeze_and_excitation,
        linear_squeeze,
        mean_squeeze,
        dense_block,
        gated_linear_unit,
        uneven_split,
        sum_of_concatenations,
        grouped,
        grouped_and_depthwise,
        group_norm,
        instance_norm,
        shared_module,
        two_scales,
        constants,
        two_stems,
        prelu,
        local_response,
        shuffled,
        softmax_head,
        coarse_units,
        folded_heads,
        attention_module,
        channels_last,
    )
}
SHAPE = (2, 8, 8)
