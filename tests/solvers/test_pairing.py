"""The problem itself: what it accepts, what a decision costs, and its file."""

import math
import zipfile

import numpy as np
import pytest
from pairing_instances import SQUARE

from pam_opt_solvers import Feature, Pairing, PamOptError, ProblemError, solve
from pam_opt_solvers.problems import storage

INF = np.inf


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.array([[1.0, math.nan]]),), r"cost\[0, 1\] is nan"),
        ((np.array([[1.0], [-INF]]),), r"cost\[1, 0\] is -inf"),
        ((np.array([[INF, 1e301]]),), r"cost\[0, 1\] is 1e\+301.*rescale"),
        ((np.zeros(3),), r"shape \(3,\)"),
        ((np.zeros((2, 2), complex),), "complex"),
        ((np.array([[None]]),), "object"),
        (([[1.0], [1.0, 2.0]],), "rectangular"),
        ((SQUARE, np.zeros(2)), r"single_rows has shape \(2,\)"),
        ((SQUARE, np.array([0, INF, 0])), r"single_rows\[1\] is inf; it must be finite"),
        ((SQUARE, None, np.array([0, 0, math.nan])), r"single_columns\[2\] is nan"),
        ((SQUARE, None, None, 4), r"n_pairs is 4; it must lie in 0\.\.3"),
        ((SQUARE, None, None, -1), r"0\.\.3"),
        ((SQUARE, None, None, 1.5), "integer"),
    ],
)
def test_malformed_problems_say_where(arguments, words):
    with pytest.raises(ProblemError, match=words):
        Pairing(*arguments)


def test_integers_and_lists_are_taken():
    assert Pairing([[1, 2], [3, 4]]).value([(0, 1), (1, 0)]) == 5.0  # type: ignore[arg-type]


def test_no_copy_and_no_writing():
    cost = np.ones((3, 3))
    problem = Pairing(cost)
    assert np.shares_memory(cost, problem.cost)
    assert np.shares_memory(cost, problem.weights)
    with pytest.raises(ValueError, match="read-only"):
        problem.cost[0, 0] = 2


def test_reduced_form_is_the_value():
    rng = np.random.default_rng(0)
    problem = Pairing(rng.random((4, 5)), rng.random(4), rng.random(5))
    pairs = np.array([(0, 3), (2, 1)])
    reduced = problem.constant + problem.weights[pairs[:, 0], pairs[:, 1]].sum()
    assert problem.value(pairs) == pytest.approx(reduced)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(0, 0)], "1 pairs instead of exactly 3"),
        ([(0, 0), (0, 1), (1, 2)], "row 0 is in more than one pair"),
        ([(0, 1), (1, 1), (2, 0)], "column 1"),
        ([(0, 0), (1, 1), (2, 3)], "outside"),
        ([(0, 0), (1, 1), (-1, 2)], "outside"),
        ([(0, 0), (1, 1), (2, 2)], r"\(2, 2\) is forbidden"),
        ([(0.0, 1.0)], "integers"),
        ([0, 1], "integers"),
    ],
)
def test_check_names_the_violation(pairs, words):
    cost = SQUARE.copy()
    cost[2, 2] = INF
    problem = Pairing(cost)
    assert problem.violations(pairs)
    with pytest.raises(ProblemError, match=words):
        problem.check(pairs)


def test_features():
    assert Pairing(SQUARE).features == frozenset()
    assert Pairing(SQUARE, n_pairs=3).features == frozenset()
    assert Pairing(SQUARE, n_pairs=2).features == {Feature.FIXED_COUNT}
    assert Pairing(SQUARE[:2], np.zeros(2)).features == {Feature.OPT_OUT, Feature.RECTANGULAR}
    assert Pairing(np.array([[INF]])).features == {Feature.FORBIDDEN}


def test_huge_singles_do_not_pretend_to_a_proof_of_small_digits():
    problem = Pairing(SQUARE, np.full(3, 1e300), np.full(3, 1e300))
    solution = solve(problem)
    assert solution.bound <= 5.0 <= solution.value + 1e-9 or solution.value == 5.0


@pytest.mark.parametrize(
    "problem",
    [
        Pairing(SQUARE),
        Pairing(np.array([[1.0, INF, 1e-300]]), np.array([2.0]), np.array([1.0, -1e300, 0.0]), 1),
        Pairing(np.zeros((0, 4)), n_pairs=0),
    ],
)
def test_round_trip(tmp_path, problem):
    read = Pairing.load(problem.save(tmp_path / "problem"))
    assert [path.name for path in tmp_path.iterdir()] == ["problem"]
    assert read.n_pairs == problem.n_pairs
    for name in ("cost", "single_rows", "single_columns"):
        np.testing.assert_array_equal(getattr(read, name), getattr(problem, name))


def test_bare_file(tmp_path):
    np.savez_compressed(tmp_path / "bare.npz", cost=SQUARE)
    np.testing.assert_array_equal(Pairing.load(tmp_path / "bare.npz").cost, SQUARE)


def _damaged(path):
    Pairing(np.random.default_rng(0).random((30, 30))).save(path)
    return path.read_bytes()


def _flipped(data):
    return bytes(byte ^ (255 if 300 < i < 400 else 0) for i, byte in enumerate(data))


def _write_member(path, name, data):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, data)


HEADER = b"\x93NUMPY\x01\x00"
HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 9), }"

HOSTILE = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no numbers here"),
    "truncated": lambda path: path.write_bytes(_damaged(path)[:900]),
    "flipped": lambda path: path.write_bytes(
        bytes(b ^ (255 if 300 < i < 400 else 0) for i, b in enumerate(_damaged(path)))
    ),
    "pickle": lambda path: path.write_bytes(b"\x80\x04cposix\nsystem\n."),
    "objects": lambda path: np.savez(path.open("wb"), cost=np.array([[None, {}]], object)),
    "npy": lambda path: np.save(path.open("wb"), SQUARE),
    "no cost": lambda path: np.savez(path.open("wb"), costs=SQUARE),
    "other schema": lambda path: np.savez(path.open("wb"), cost=SQUARE, schema="other/9"),
    "text costs": lambda path: np.savez(path.open("wb"), cost=np.array([["a"]])),
    "bad shape": lambda path: np.savez(path.open("wb"), cost=np.zeros((2, 2, 2))),
    "bad count": lambda path: np.savez(path.open("wb"), cost=SQUARE, n_pairs=np.array([1, 2])),
    "nan": lambda path: np.savez(path.open("wb"), cost=np.array([[math.nan]])),
    "bad header": lambda path: _write_member(path, "cost.npy", HEADER + b"\x10\x00{__import__('os')"),
    "huge claim": lambda path: _write_member(
        path, "cost.npy", HEADER + (len(HUGE) + 1).to_bytes(2, "little") + HUGE + b"\n"
    ),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_named(tmp_path, kind):
    path = tmp_path / "hostile.npz"
    HOSTILE[kind](path)
    with pytest.raises(ProblemError, match=r"hostile\.npz"):
        Pairing.load(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = Pairing(SQUARE).save(tmp_path / "kept.npz")
    before = path.read_bytes()

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.np, "savez", full_disk)
    with pytest.raises(PamOptError, match=r"kept\.npz.*No space left"):
        Pairing(SQUARE + 1).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unwritable_place_is_a_clear_error(tmp_path):
    with pytest.raises(PamOptError, match="cannot write"):
        Pairing(SQUARE).save(tmp_path / "no" / "such" / "folder.npz")
