"""Tracing: what the layer graph holds, which forms are read, and that refusals name the node."""

import pytest
import torch
from networks import NAMES, SHAPES, random_parent, randomise_norms
from torch import nn
from torch.nn import functional

from pam_opt.errors import UnsupportedModel
from pam_opt.families import FAMILIES
from pam_opt.parents import convert_parents
from pam_opt.tracing import network_of, trace


def forward(function, **modules):
    """Build a module from a forward function of (self, x) and submodules."""

    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            for name, module in modules.items():
                setattr(self, name, module)

        def forward(self, x):
            return function(self, x)

    return Written().eval()


# The layer graph


def test_the_graph_of_a_lenet():
    module = random_parent("lenet5")
    graph = trace(module)
    names = ["conv1", "conv2", "linear1", "linear2", "head"]
    assert set(graph.graph.nodes) == {"input", *names}
    assert list(graph.graph.edges) == list(zip(["input", *names], names, strict=False))
    assert [layer.name for layer in graph.layers] == names
    assert [graph.units(name) for name in names] == [4, 6, 10, 8, 3]
    assert all(graph.module(name) is module.get_submodule(name) for name in names)
    assert all(graph.graph.nodes[name]["writers"] == (module.get_submodule(name),) for name in names)
    assert (graph.inputs, graph.prelude) == (1, ())
    conv1, _, linear1, linear2, head = graph.layers
    assert conv1.settings == {"kernel_size": [5, 5], "stride": [1, 1], "padding": [2, 2], "dilation": [1, 1]}
    assert [operation.kind for operation in conv1.post] == ["relu", "max_pool2d"]
    assert [layer.kind for layer in graph.layers] == ["conv2d", "conv2d", "linear", "linear", "linear"]
    assert [layer.kernel_area for layer in graph.layers] == [25, 25, 4, 1, 1]
    assert (linear1.features, linear2.features) == (4, 1)
    assert (conv1.norm, conv1.bias, head.post) == (None, True, ())


def test_the_graph_of_a_vgg_holds_its_norms():
    module = random_parent("small_vgg")
    graph = trace(module)
    for index in range(1, 5):
        layer = graph.graph.nodes[f"conv{index}"]["layer"]
        assert layer.norm is not None
        assert layer.norm.kind == "batch_norm2d"
        assert not layer.bias
        assert graph.module(f"conv{index}", "norm") is module.get_submodule(f"norm{index}")
    assert set(graph.weights["linear1"]) == {"operation"}
    assert graph.inputs == 2


def test_the_graph_of_an_mlp_has_a_prelude():
    graph = trace(random_parent("mlp"))
    assert [operation.kind for operation in graph.prelude] == ["flatten"]
    assert graph.inputs == 16


def test_norms_behind_an_activation_belong_to_what_follows():
    norms = nn.BatchNorm2d(3), nn.BatchNorm1d(12), nn.BatchNorm1d(4)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), norms[0], nn.Flatten(), norms[1], nn.Linear(12, 4), norms[2], nn.Linear(4, 2)
    )
    graph = trace(module)
    first, second, _ = graph.layers
    assert first.norm is None
    assert [operation.kind for operation in first.post] == ["relu", "batch_norm2d", "flatten", "batch_norm1d"]
    assert [operation.features for operation in first.post] == [1, 1, 1, 4]
    assert (graph.module("0", "1"), graph.module("0", "3")) == norms[:2]
    assert second.norm is not None
    assert graph.module("5", "norm") is norms[2]


@pytest.mark.parametrize("family", NAMES)
def test_families_take_any_width_and_convert_exactly(family):
    module = random_parent(family, 2)
    x = torch.randn(3, *SHAPES[family])
    for mode in (True, False):
        network = network_of(module.train(mode), "t")
        assert network.training == mode
        torch.testing.assert_close(network.eval()(x)["t"], module.eval()(x))
    assert all(p is not q for p, q in zip(network.parameters(), module.parameters(), strict=True))
    assert family in FAMILIES


# Forms that are read


def convolution():
    return {"conv": nn.Conv2d(2, 4, 3), "norm": nn.BatchNorm2d(4), "linear": nn.Linear(36, 5), "head": nn.Linear(5, 3)}


def behind(function):
    """A forward function whose part between convolution and linear layer is `function`."""

    def run(self, x):
        return self.head(torch.tanh(self.linear(function(self, self.norm(self.conv(x))))))

    return run


FORMS = {
    "view of size": behind(lambda self, x: functional.max_pool2d(functional.relu(x), 2).view(x.size(0), -1)),
    "view of shape": behind(lambda self, x: functional.max_pool2d(x.relu(), kernel_size=2).view(x.shape[0], -1)),
    "view of a tuple": behind(lambda self, x: functional.max_pool2d(torch.relu(x), 2, 2).view((x.size()[0], -1))),
    "reshape": behind(lambda self, x: functional.avg_pool2d(functional.silu(x), 2).reshape(x.size(0), -1)),
    "torch.flatten": behind(lambda self, x: torch.flatten(functional.avg_pool2d(functional.gelu(x), 2, stride=2), 1)),
    "method flatten": behind(lambda self, x: functional.adaptive_avg_pool2d(torch.sigmoid(x), 3).flatten(1)),
    "flatten by keyword": behind(lambda self, x: torch.flatten(functional.max_pool2d(x, 2), start_dim=1)),
    "leaky": behind(lambda self, x: functional.leaky_relu(functional.max_pool2d(x, 2), 0.2).flatten(start_dim=1)),
    "in place": behind(lambda self, x: functional.relu6(functional.max_pool2d(x, 2), inplace=True).flatten(1)),
    "dropout": behind(lambda self, x: functional.dropout(functional.max_pool2d(x, 2), 0.4, self.training).flatten(1)),
    "pooling by keyword": behind(
        lambda self, x: functional.max_pool2d(x, 2, stride=2, padding=0, ceil_mode=False).flatten(1)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_functional_forms_are_read(form):
    torch.manual_seed(1)
    module = forward(FORMS[form], **convolution())
    randomise_norms(module)
    x = torch.randn(5, 2, 8, 8)
    network = network_of(module, "t")
    torch.testing.assert_close(network(x)["t"], module(x))
    assert [layer.name for layer in network.structure.layers] == ["conv", "linear", "head"]


MODULES = [
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.LeakyReLU(0.2),
    nn.ELU(0.7),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.Hardswish(),
    nn.Softplus(3.0, 5.0),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.MaxPool2d(3, stride=1, padding=1),
    nn.AvgPool2d(2, stride=1, count_include_pad=False),
    nn.AdaptiveAvgPool2d((2, 3)),
    nn.AdaptiveMaxPool2d(3),
    nn.Dropout(0.3),
    nn.Dropout2d(0.3),
    nn.Identity(),
    nn.BatchNorm2d(4, eps=1e-2),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_modules_are_read_with_their_settings(module):
    torch.manual_seed(2)
    x = torch.randn(4, 1, 7, 7)
    start = nn.Sequential(nn.Conv2d(1, 4, 2, stride=(1, 2), padding=(1, 0), dilation=2), module)
    size = start(x).flatten(1).shape[1]
    chain = nn.Sequential(start, nn.Flatten(), nn.Linear(size, 3)).eval()
    randomise_norms(chain)
    torch.testing.assert_close(network_of(chain, "t")(x)["t"], chain(x))


def test_nested_modules_keep_their_qualified_names():
    module = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.Sequential(nn.Linear(3, 2)))
    assert [layer.name for layer in trace(module).layers] == ["0.0", "1.0"]


# Refusals

SHARED = nn.Conv2d(3, 3, 3, padding=1)
REFUSED = {
    "a sum with the input": (
        forward(lambda self, x: self.head(torch.flatten(self.conv(x) + x, 1)), conv=SHARED, head=nn.Linear(3 * 64, 2)),
        r"node 'add' \(add\) joins the network's own input",
    ),
    "a product as head": (
        forward(lambda self, x: self.one(x) * self.two(x), one=nn.Linear(4, 2), two=nn.Linear(4, 2)),
        r"last layer 'mul' is no plain Linear head.*node 'mul' \(mul\) is a multiply layer",
    ),
    "two heads": (
        forward(lambda self, x: torch.cat([self.one(x), self.two(x)], 1), one=nn.Linear(4, 2), two=nn.Linear(4, 2)),
        r"last layer 'two' is no plain Linear head",
    ),
    "a list as output": (
        forward(lambda self, x: [self.one(x)], one=nn.Linear(4, 2)),
        r"its output is \[one\], not the one tensor at its end",
    ),
    "grouped convolution": (
        nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2)),
        r"node '0' \(Conv2d\) has groups, and stands in front of the first layer",
    ),
    "padding mode": (
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(4, 2)),
        r"node '0' \(Conv2d\) has padding mode 'reflect'",
    ),
    "softmax": (
        forward(lambda self, x: functional.softmax(self.one(x), dim=0), one=nn.Linear(4, 2)),
        r"node 'softmax' \(softmax\) normalises over axis 0",
    ),
    "view by another size than the batch's": (
        forward(lambda self, x: self.one(x.view(x.size(1), -1)), one=nn.Linear(4, 2)),
        r"node 'view' \(view\) makes \(size 1, -1\)",
    ),
    "convolution behind a flatten": (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
        r"node '2' \(Conv2d\) takes \(N, channels, H, W\), but \(N, channels \* positions\)",
    ),
    "convolution behind a linear layer": (
        nn.Sequential(nn.Linear(4, 3), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
        r"node '1' \(Conv2d\)",
    ),
    "linear layer without a flatten": (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Linear(16, 2)),
        r"node '2' \(Linear\) takes 16 features, but 4 units come in; flatten first",
    ),
    "norm in front": (
        nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
        r"node '0' \(BatchNorm2d\) stands in front of the first layer",
    ),
    "norm without statistics": (
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 2)),
        r"node '1' \(BatchNorm1d\) needs affine=True, track_running_stats=True",
    ),
    "norm without weights": (
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False), nn.Linear(3, 2)),
        r"node '1' \(BatchNorm1d\) needs affine=True",
    ),
    "norm of another width": (
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(4), nn.Linear(3, 2)),
        r"node '1' \(BatchNorm1d\) normalises 4 features of 3 units",
    ),
    "norm behind the head": (
        nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2)),
        r"its last layer '2' is no plain Linear head",
    ),
    "convolution as head": (nn.Sequential(nn.Conv2d(1, 4, 3)), r"its last layer '0' is no plain Linear head"),
    "flatten of the batch": (
        nn.Sequential(nn.Flatten(0), nn.Linear(4, 2)),
        r"node '0' \(Flatten\) must flatten all but the batch dimension",
    ),
    "partial flatten": (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(2), nn.Linear(4, 2)),
        r"node '2' \(Linear\) takes 4 features, but 4 units come in; flatten first",
    ),
    "pooling with indices": (
        forward(
            lambda self, x: self.head(functional.max_pool2d(self.conv(x), 2, return_indices=True)),
            conv=nn.Conv2d(1, 2, 3),
            head=nn.Linear(2, 2),
        ),
        "max_pool2d.*not supported",
    ),
    "a free parameter": (
        forward(lambda self, x: functional.linear(x, self.one.weight), one=nn.Linear(4, 2)),
        r"node '(one_weight|linear)'",
    ),
    "control flow": (
        forward(lambda self, x: self.one(x) if x.sum() > 0 else self.one(-x), one=nn.Linear(4, 2)),
        "torch.fx cannot trace it.*control flow",
    ),
    "no layer": (nn.Sequential(nn.Flatten(), nn.ReLU()), "no Linear or Conv2d module"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_node(name):
    module, words = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=words) as caught:
        trace(module, "parent 'a'")
    assert str(caught.value).startswith("parent 'a'")


def test_a_second_input_is_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 2)

        def forward(self, x, mask):
            return self.one(x) * mask

    with pytest.raises(UnsupportedModel, match="a second input 'mask'"):
        trace(Two())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value):
    module = random_parent("mlp")
    with torch.no_grad():
        module.linear2.weight[0, 0] = value
    with pytest.raises(UnsupportedModel, match=r"parent 't': weight 'linear2\.weight' holds NaN or infinite"):
        network_of(module, "t")


# Parents against each other


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: random_parent("lenet5"), "take different input: 16 units into a linear layer, 1 into a conv2d"),
        (lambda: FAMILIES["mlp"]((1, 4, 4), 3, widths=(9, 7, 5)), "different depth: 3 layers and 4"),
        (lambda: FAMILIES["mlp"]((1, 4, 5), 3), "take different input"),
        (
            lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(16, 9), nn.Tanh(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)
            ),
            r"differ at layer 'linear1' / '1': post \[relu\] against \[tanh\]",
        ),
        (
            lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(16, 9, bias=False), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)
            ),
            "differ at layer 'linear1' / '1': bias True against False",
        ),
    ],
)
def test_parents_that_do_not_match_are_refused(other, words):
    with pytest.raises(UnsupportedModel, match=words):
        convert_parents({"a": random_parent("mlp"), "b": other()})


def test_widths_heads_and_names_may_differ():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 6))
    networks = convert_parents({"a": random_parent("mlp"), "b": plain})
    assert [network.tasks for network in networks.values()] == [("a",), ("b",)]
