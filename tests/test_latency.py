"""Predicted times against toy tables, the cache on disk, and the command; nothing is timed for real."""

import pytest
from networks import random_lattice
from toy_profiles import MACHINE, macs_profile

import pam_opt as pam
from pam_opt.errors import ConfigError, StorageError
from pam_opt.latency import (
    Grid,
    Machine,
    Profile,
    latency_costs,
    layer_shapes,
    measure_profile,
    read_profile,
    unit_savings,
)
from pam_opt.macs import output_positions, unit_macs
from pam_opt.tasks import distribution


@pytest.mark.parametrize("family", ["lenet5", "small_vgg"])
def test_times_that_are_macs_predict_macs(family):
    network = random_lattice(family, ["a", "b", "c"], 0)
    structure, profile = network.structure, macs_profile(network)
    predicted, counted = latency_costs(network, profile), pam.costs(network)
    assert predicted.seconds == pytest.approx(counted.macs)
    assert predicted.expected == pytest.approx(counted.expected)
    probabilities = distribution(structure.tasks, {"a": 1.0, "a+b": 2.0})
    keys = [shape.key for shape in layer_shapes(structure)]
    savings = unit_savings(structure, keys, profile, probabilities)
    assert savings == pytest.approx(unit_macs(structure, output_positions(structure), probabilities))


def test_tables_interpolate_and_never_fall_with_more_units():
    grid = Grid({(1, 1): 1.0, (1, 3): 3.0, (3, 1): 5.0, (3, 3): 4.0})
    assert grid.at(1, 2) == 2.0
    assert grid.at(3, 1) == 4.0  # runs as the larger layer, which is quicker
    assert grid.at(2, 3) == 3.5
    assert grid.at(1, 5) == 5.0
    assert Grid({(2, 2): 1.5}).at(7, 9) == 1.5


def test_measuring_goes_on_where_it_stopped(tmp_path):
    network, calls = random_lattice("mlp", ["a", "b"], 0), []

    def timer(shape, batch, read, written):
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append((shape.key, read, written))
        return 1e-3 * read * written

    with pytest.raises(KeyboardInterrupt):
        measure_profile(network.structure, MACHINE, folder=tmp_path, timer=timer)
    first, calls[:] = list(calls), []
    seen = []
    stop = 10**6

    def rest(shape, batch, read, written):
        assert len(calls) < stop
        calls.append((shape.key, read, written))
        return 1e-3 * read * written

    profile = measure_profile(
        network.structure, MACHINE, folder=tmp_path, timer=rest, progress=lambda done, total: seen.append((done, total))
    )
    assert not set(first) & set(calls)
    assert seen[-1][0] == seen[-1][1]
    assert read_profile(MACHINE, tmp_path) == profile
    assert not read_profile(Machine("toy", 2, 1, "0", 8), tmp_path).grids
    latency_costs(network, profile)
    stop = 0
    measure_profile(network.structure, MACHINE, folder=tmp_path, timer=rest)


def test_what_is_missing_or_damaged_is_said(tmp_path):
    network = random_lattice("mlp", ["a", "b"], 0)
    with pytest.raises(ConfigError, match="has no times of layer 'linear1'"):
        latency_costs(network, Profile(MACHINE))
    (tmp_path / MACHINE.file_name).write_text("{")
    with pytest.raises(StorageError, match="holds no profile"):
        read_profile(MACHINE, tmp_path)
    with pytest.raises(ConfigError, match="at least 1"):
        Machine.here(batch=0)


def test_command_measures_and_predicts(command, tmp_path, monkeypatch):
    from pam_opt.latency import profile as module

    monkeypatch.setattr(module, "median_seconds", lambda run: (run(), 1e-3)[1])
    pam.save(random_lattice("lenet5", ["a", "b"], 0), tmp_path / "net.safetensors")
    code, printed, error = command("profile", tmp_path / "net.safetensors", "--cache", tmp_path, "--batch", "2")
    assert (code, error) == (0, "")
    assert "a+b" in printed
    assert "ms" in printed
    code, _, error = command("profile", "lenet5", "--cache", tmp_path)
    assert code == 1
    assert "--input-shape" in error
