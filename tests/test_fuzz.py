"""Random modules: right output, exact costs and a network that merges, or a refusal by name; never anything else.

``PAM_OPT_FUZZ=1000 pytest tests/test_fuzz.py`` tries more of them than the default.
"""

import os
import re

import pytest
import torch
from hand_plans import plan_apart, plan_pairs
from networks import counted_macs
from random_modules import random_module

import pam_opt as pam
from pam_opt.errors import UnsupportedModel
from pam_opt.tracing import network_of

COUNT, CHUNKS = int(os.environ.get("PAM_OPT_FUZZ", "200")), 10
MOST_REFUSED = 0.3
NAMED = re.compile(r"parent '[ab]': .*'[\w.]+'")


def attempt(seed: int) -> bool:
    """Trace two modules, lay them side by side and merge some of their units; say whether they were not refused."""
    modules = {task: random_module(seed, weights)[0] for weights, task in enumerate("ab")}
    shape = random_module(seed)[1]
    refusal = ""
    try:
        networks = {task: network_of(module, task, shape) for task, module in modules.items()}
    except UnsupportedModel as err:
        networks, refusal = {}, str(err)
    if refusal:
        assert NAMED.search(refusal), refusal
        return False
    x = torch.randn(3, *shape)
    apart = pam.merge(modules, plan_apart(networks, seed), weights="side_by_side")
    merged = pam.merge(modules, plan_pairs(networks, seed), weights="average")
    with torch.no_grad():
        for task, module in modules.items():
            for network in (networks[task], apart):
                torch.testing.assert_close(network(x)[task], module(x), atol=1e-4, rtol=1e-4)
        assert all(output.isfinite().all() for output in merged(x).values())
    for network in (apart, merged):
        for combination, macs in pam.costs(network).macs.items():
            assert macs == counted_macs(network, x[:1], combination)
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
