"""Random modules: right output, exact costs and a network that merges, or a refusal by name; never anything else.

``PAM_OPT_FUZZ=1000 pytest tests/test_fuzz.py`` tries more of them than the default.
"""

import os
import re

import pytest
import torch
from hand_plans import permuted, plan_apart, plan_pairs, plan_twins, random_masks, without_reading
from networks import assert_costs, assert_outputs
from random_modules import random_module

import pam_opt as pam
from pam_opt.errors import UnsupportedModel
from pam_opt.surgery import remove_units
from pam_opt.tracing import network_of

COUNT, CHUNKS = int(os.environ.get("PAM_OPT_FUZZ", "120")), 10
MOST_REFUSED = 0.25
NAMED = re.compile(r"parent '[ab]': .*'[\w.]+'")


def attempt(seed: int) -> bool:
    """Trace two modules, merge nothing, some units, and a permuted copy; say whether they were not refused."""
    (one, shape), (two, _) = random_module(seed), random_module(seed, weights=1)
    modules = {"a": one, "b": two}
    refusal = ""
    try:
        networks = {task: network_of(module, task, shape) for task, module in modules.items()}
    except UnsupportedModel as err:
        networks, refusal = {}, str(err)
    if refusal:
        assert NAMED.search(refusal), refusal
        return False
    x = torch.randn(3, *shape)
    with torch.no_grad():
        outputs = {task: module(x) for task, module in modules.items()}
    for task, network in networks.items():
        assert_outputs(network, x, {task: outputs[task]})
    apart = pam.merge(networks, plan_apart(networks, seed), weights="side_by_side")
    assert_outputs(apart, x, outputs)
    merged = pam.merge(networks, plan_pairs(networks, seed), weights="average")
    keep = random_masks(merged.structure, seed)
    smaller = remove_units(merged, keep)
    with torch.no_grad():
        assert_outputs(smaller, x, without_reading(merged, keep)(x))
    for network in (apart, merged, smaller):
        assert_costs(network, x)
    twin, orders = permuted(networks["a"], seed, "b")
    both = {"a": networks["a"], "b": twin}
    together = pam.merge(both, plan_twins(both, orders), weights="average")
    assert_outputs(together, x, {"a": outputs["a"], "b": outputs["a"]})
    return True


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_modules_are_right_or_refused(chunk):
    seeds = range(chunk, COUNT, CHUNKS)
    refused = 0
    for seed in seeds:
        try:
            refused += not attempt(seed)
        except Exception as err:
            raise AssertionError(f"seed {seed}: {type(err).__name__}: {err}\n{random_module(seed)[0]}") from err
    assert refused <= MOST_REFUSED * len(seeds)
