"""Networks with branches on the lattice, built by hand: combinations, costs, removal of units."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.macs import output_positions, unit_macs
from pam_opt.network import MultitaskNetwork
from pam_opt.operations import Operation
from pam_opt.structure import INPUT, Layer, Structure, require_chain
from pam_opt.surgery import remove_units

A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")
SHAPE = (2, 8, 8)
RELU, POOL, FLAT = Operation("relu"), Operation("adaptive_avg_pool2d", {"output_size": 1}), Operation("flatten", {})
CONV = {"kernel_size": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1]}
WIDTHS = {"stream": {AB: 3, A: 2, B: 2}, "inner": {AB: 2, A: 1, B: 3}, "gate": {AB: 1, A: 1, B: 1}, "heads": {A: 4, B: 3}}


def conv(name, inputs, ties, post=(), kind="conv2d", features=1, size=1):
    norm = Operation("batch_norm2d", {"eps": 1e-5, "momentum": 0.1}, size)
    return Layer(name, kind, CONV, False, features, norm, tuple(post), tuple(inputs), ties, size)


def linear(name, inputs, ties, post=(), size=1, features=1):
    return Layer(name, "linear", {}, True, features, None, tuple(post), tuple(inputs), ties, size)


def join(kind, inputs, ties, post=(), size=1):
    return Layer(kind, kind, {}, False, 1, None, tuple(post), tuple(inputs), ties, size)


def residual() -> Structure:
    """A residual block, a depthwise convolution, squeeze and excitation, and a head that reads two spaces."""
    layers = (
        conv("stem", [INPUT], 0, [RELU]),
        conv("inner", [0], 1, [RELU]),
        conv("outer", [1], 0),
        join("add", [2, 0], 0, [RELU]),
        conv("depthwise", [3], 0, [RELU], "unit_conv2d"),
        join("pass", [4], 0, [POOL, FLAT]),
        linear("squeeze", [5], 6, [RELU]),
        linear("excite", [6], 0, [Operation("sigmoid"), Operation("unflatten_map")]),
        join("multiply", [4, 7], 0, [POOL, FLAT]),
        join("pass", [1], 1, [POOL, FLAT]),
        linear("head", [8, 9], 10),
    )
    spaces = {0: "stream", 1: "inner", 6: "gate", 10: "heads"}
    return Structure(("a", "b"), 2, (), layers, tuple(WIDTHS[spaces[layer.ties]] for layer in layers), SHAPE)
