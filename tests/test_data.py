"""Loading, splitting, batching and checking of data, and what a user reads when something is wrong."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from pam_opt.data import Batches, Dataset, Split, archive, checked, images, load
from pam_opt.data.augment import AUGMENTS
from pam_opt.errors import DataError, PamOptError

RNG = np.random.default_rng(0)


def shared(name: str) -> Path:
    folder = os.environ.get("PAM_OPT_DATA") or Path(__file__).parents[2] / "shared" / "data"
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {folder}: set PAM_OPT_DATA to the folder that has it")
    return path


def arrays(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    """Small valid arrays of three classes; a change of None leaves an array out."""
    base = {
        "x_train": RNG.integers(0, 256, (60, 6, 6), dtype=np.uint8),
        "y_train": np.arange(60) % 3,
        "x_test": RNG.integers(0, 256, (9, 6, 6), dtype=np.uint8),
        "y_test": np.arange(9) % 3,
    }
    return {name: array for name, array in {**base, **changes}.items() if array is not None}


def npz(folder: Path, **changes: np.ndarray | None) -> Path:
    path = folder / "toy.npz"
    np.savez(path, **arrays(**changes))  # type: ignore[arg-type]
    return path


def picture(size: tuple[int, int] = (8, 6), mode: str = "RGB", kind: str = "PNG", value: int = 100) -> bytes:
    """One plain image file of (width, height)."""
    colour = value if mode in ("L", "I;16") else (value,) * len(mode)
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, kind)
    return content.getvalue()


def split_tree(per_class: int = 4, **options) -> dict[str, bytes]:
    return {
        f"{split}/{name}/{i}.png": picture(value=10 * i + 100 * (name == "dog"), **options)
        for split in ("train", "test")
        for name in ("cat", "dog")
        for i in range(per_class)
    }


def zipped(folder: Path, files: dict[str, bytes], name: str = "toy.zip") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as zip_file:
        for entry, content in files.items():
            zip_file.writestr(entry, content)
    return path


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "toy" / name).write_bytes(content)
    return folder / "toy"


def refused(source: str | Path, *parts: str, **options) -> str:
    """Assert that loading fails with a message that has all the parts."""
    with pytest.raises(DataError) as caught:
        load(source, **options)
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    return message


def counts(split: Split) -> list[int]:
    return torch.bincount(split.labels).tolist()


# ------------------------------------------------------------------------------------------ digits, splits


def test_digits_have_three_splits_that_share_nothing():
    data = load("digits")
    assert data.input_shape == (1, 8, 8)
    assert (len(data.train), len(data.validation), len(data.test)) == (1294, 144, 359)
    assert data.class_names == tuple("0123456789")
    samples = torch.cat([data.train.x, data.validation.x, data.test.x]).flatten(1)
    assert len(torch.unique(samples, dim=0)) == 1797


def test_training_split_is_normalised_and_decides_the_statistics():
    data = load("digits")
    assert data.train.x.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.x.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert abs(data.test.x.mean().item()) > 1e-4
    assert len(data.mean) == len(data.std) == 1


def test_test_split_is_the_same_for_every_seed_and_validation_is_not():
    first, second = load("digits", seed=0), load("digits", seed=1)
    assert torch.equal(first.test.labels, second.test.labels)
    assert not torch.equal(first.validation.x[:, 0], second.validation.x[:, 0])


def test_validation_is_stratified(tmp_path):
    data = load(npz(tmp_path), validation=0.2)
    assert counts(data.validation) == [4, 4, 4]
    assert counts(data.train) == [16, 16, 16]


def test_validation_may_be_empty():
    data = load("digits", validation=0)
    assert (len(data.train), len(data.validation)) == (1438, 0)
    assert len(data.fingerprint) == 64


def test_rare_class_stays_in_training(tmp_path):
    labels = np.r_[np.zeros(30), np.ones(29), 2].astype(np.int64)
    data = load(npz(tmp_path, y_train=labels), validation=0.5)
    assert counts(data.train)[2] == 1
    assert len(data.validation) == 30


def test_limit_is_stratified_and_leaves_the_test_split(tmp_path):
    data = load(npz(tmp_path), limit=12, validation=0.25)
    assert counts(data.train) == [3, 3, 3]
    assert counts(data.validation) == [1, 1, 1]
    assert len(data.test) == 9
    assert len(load(npz(tmp_path), limit=1000).train) == 54


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"validation": 1.0}, "validation is 1.0: give a share"),
        ({"validation": -0.1}, "validation is -0.1"),
        ({"validation": float("nan")}, "validation is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": 5}, "limit=5 is below the 10 classes"),
        ({"limit": 10}, "10 training samples leave none for validation"),
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": (3, 4, 5)}, "image_size is (3, 4, 5)"),
    ],
)
def test_impossible_options_are_refused(options, part):
    refused("digits", part, **options)


def test_same_seed_gives_the_same_fingerprint_and_other_data_another(tmp_path):
    first = load(npz(tmp_path))
    assert load(tmp_path / "toy.npz").fingerprint == first.fingerprint
    assert load(tmp_path / "toy.npz", seed=1).fingerprint != first.fingerprint
    changed = arrays(**np.load(tmp_path / "toy.npz"))
    changed["x_test"][0, 0, 0] ^= 1
    assert load(npz(tmp_path, **changed)).fingerprint != first.fingerprint


def test_fingerprint_does_not_change_between_versions():
    split = Split(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    data = Dataset("any", split, split, split, ("a",), (0.0,), (1.0,))
    assert data.fingerprint.startswith("a7962085769a5df9")


@pytest.mark.parametrize(
    ("x", "labels", "part"),
    [
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), "x has 2 samples but labels has 3"),
        (torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.int64), "not float32 (2, 3, 4)"),
        (torch.zeros(2, 3).double(), torch.zeros(2, dtype=torch.int64), "not float64 (2, 3)"),
        (torch.zeros(2, 3), torch.zeros(2), "labels must be int64 (N,) or (N, L), not float32 (2,)"),
    ],
)
def test_split_refuses_other_tensors(x, labels, part):
    with pytest.raises(DataError) as caught:
        Split(x, labels)
    assert part in str(caught.value)


@pytest.mark.parametrize("source", ["nowhere.npz", "digit", "", "nowhere/at/all"])
def test_missing_source_says_what_can_be_given(source):
    refused(source, f"'{source}' does not exist", "'digits'", ".npz", "train/<class>", ".zip")


def test_unknown_suffix_is_refused(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("1,2")
    refused(path, "data.csv' has no form that can be loaded", "'digits'", ".npz")


# ------------------------------------------------------------------------------------------------- npz


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 6), (1, 6, 6)),
        ((6, 7, 3), (3, 6, 7)),
        ((3, 6, 7), (3, 6, 7)),
        ((6, 6, 1), (1, 6, 6)),
        ((5,), (5,)),
    ],
)
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_npz_layouts_become_channels_first(tmp_path, shape, expected, kind):
    x_train, x_test = (RNG.integers(0, 256, (count, *shape)).astype(kind) for count in (60, 9))
    data = load(npz(tmp_path, x_train=x_train, x_test=x_test), validation=0)
    assert data.input_shape == expected
    plain = x_train / 255 if kind == np.uint8 else x_train
    if x_train.ndim == 4 and expected != shape:
        plain = plain.transpose(0, 3, 1, 2)
    mean, std = (np.array(v).reshape(-1, *[1] * (len(expected) - 1)) for v in (data.mean, data.std))
    restored = data.train.x.numpy() * std + mean
    np.testing.assert_allclose(restored, plain.reshape(restored.shape), rtol=1e-4, atol=1e-3)


def test_float_vectors_are_normalised_per_feature_and_constants_survive(tmp_path):
    scale = np.array([1.0, 1000.0, 0.0])
    x_train, x_test = (RNG.normal(size=(count, 3)) * scale for count in (60, 9))
    data = load(npz(tmp_path, x_train=x_train, x_test=x_test))
    assert len(data.std) == 3
    assert data.std[2] == 1
    torch.testing.assert_close(data.train.x.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), rtol=1e-4, atol=1e-4)


def test_multi_label_is_kept(tmp_path):
    y_train, y_test = (RNG.integers(0, 2, (count, 4)) for count in (60, 9))
    data = load(npz(tmp_path, y_train=y_train, y_test=y_test))
    assert data.train.labels.shape == (54, 4)
    assert data.class_names == ("0", "1", "2", "3")


def test_labels_in_one_column_and_of_other_types_are_class_numbers(tmp_path):
    column = (np.arange(60) % 3).astype(np.float32)[:, None]
    data = load(npz(tmp_path, y_train=column, y_test=(np.arange(9) % 3).astype(np.uint8)))
    assert data.train.labels.shape == (54,)


def test_class_names_are_read(tmp_path):
    assert load(npz(tmp_path, class_names=np.array(["a", "b", "c"]))).class_names == ("a", "b", "c")


def test_arrays_are_resized_on_request(tmp_path):
    data = load(npz(tmp_path), image_size=(3, 4))
    assert data.input_shape == (1, 3, 4)
    vectors = {"x_train": np.zeros((60, 5)), "x_test": np.zeros((9, 5))}
    refused(npz(tmp_path, **vectors), "the samples are vectors of 5 values", image_size=4)


def with_value(shape: tuple[int, ...], place: tuple[int, ...], value: float) -> np.ndarray:
    array = np.zeros(shape)
    array[place] = value
    return array


OBJECTS = np.array([{}, 1] * 30, dtype=object)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"y_test": None}, ["there is no y_test; there is x_train, y_train, x_test", "Save the arrays as"]),
        ({"y_train": OBJECTS}, ["y_train contains Python objects", "save it as numbers"]),
        ({"x_train": np.zeros((60, 2), int)}, ["x_train has type int64: give uint8"]),
        ({"x_train": np.zeros(60)}, ["x_train has shape (60,)", "(N, D)"]),
        ({"x_test": np.zeros((0, 6, 6))}, ["x_test has shape (0, 6, 6)", "at least one sample"]),
        ({"x_train": np.zeros((60, 3, 8, 3))}, ["(60, 3, 8, 3): both axis 1 and axis 3 could be"]),
        ({"x_train": np.zeros((60, 8, 8, 4))}, ["neither axis 1 nor axis 3 is the 1 or 3 channels"]),
        ({"x_train": with_value((60, 6, 6), (7, 1, 2), np.nan)}, ["x_train[7, 1, 2] is nan"]),
        ({"x_train": with_value((60, 6, 6), (7, 1, 2), 1e300)}, ["x_train[7, 1, 2] is inf"]),
        (
            {"x_train": np.zeros((60, 5, 6), np.uint8)},
            ["x_train and x_test differ", "(1, 5, 6)", "(1, 6, 6)"],
        ),
        ({"x_train": np.zeros((60, 6, 6))}, ["x_train and x_test differ", "float32", "uint8"]),
        ({"y_train": np.zeros(59, int)}, ["x_train has 60 samples but y_train has 59"]),
        ({"y_train": np.zeros((60, 2, 2))}, ["y_train has shape (60, 2, 2)"]),
        ({"y_train": np.full(60, "cat")}, ["y_train has type <U3"]),
        ({"y_train": with_value((60,), (4,), 0.5)}, ["y_train[4] is 0.5", "a whole number"]),
        ({"y_train": with_value((60,), (4,), np.inf)}, ["y_train[4] is inf"]),
        ({"y_train": with_value((60,), (4,), 1e30)}, ["y_train[4] is 1e+30"]),
        ({"y_train": with_value((60,), (4,), -1)}, ["y_train[4] is -1", "count from 0"]),
        ({"y_train": with_value((60, 2), (4, 1), 3)}, ["y_train[4, 1] is 3", "0 or 1"]),
        (
            {"y_train": with_value((60,), (4,), 2)},
            ["class 1 has no sample in y_train", "0, 2", "without gaps"],
        ),
        ({"y_train": with_value((60,), (4,), 10**9)}, ["class 1 has no sample in y_train"]),
        ({"y_test": with_value((9,), (4,), 3)}, ["y_test has class 3, but there are 3 classes, 0 to 2"]),
        ({"y_test": np.zeros((9, 2), int)}, ["y_train and y_test differ in form"]),
        (
            {"y_train": with_value((60, 2), (4, 1), 1), "y_test": np.zeros((9, 2), int)},
            ["label 0 has no sample in y_train"],
        ),
        ({"class_names": np.array(list("abcd"))}, ["class 3 has no sample in y_train"]),
        ({"class_names": np.array(list("ab"))}, ["y_train has class 2, but there are 2 classes"]),
        ({"class_names": np.array(list("aab"))}, ["one distinct text per class"]),
        ({"class_names": np.arange(3)}, ["class_names is int64 (3,)"]),
    ],
)
def test_unusable_arrays_are_named(tmp_path, changes, parts):
    message = refused(npz(tmp_path, **changes), "toy.npz", *parts)
    assert message.count("toy.npz") == 1


def test_damaged_npz_is_refused(tmp_path):
    path = npz(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(path, "toy.npz' is not a zip archive, or is cut short", "download or pack it again")
    path.write_bytes(b"not a zip")
    refused(path, "is not a zip archive")
    path.write_bytes(b"junk in front" + content)
    refused(path, "numpy cannot open it")
    damaged = bytearray(content)
    damaged[300] ^= 0xFF
    path.write_bytes(damaged)
    refused(path, "x_train is damaged")


def test_npz_that_claims_a_giant_array_is_refused(tmp_path):
    path = npz(tmp_path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50, 2)})
    content = {"x_train.npy": b"\x93NUMPY\x01\x00" + header.getvalue().removeprefix(b"\x93NUMPY\x01\x00")}
    content |= {f"{name}.npy": b"" for name in ("y_train", "x_test", "y_test")}
    zipped(tmp_path, content, path.name)
    refused(path, "x_train is damaged")


def test_npz_entry_that_is_no_array_is_refused(tmp_path):
    content = {f"{name}.npy": b"plain text" for name in ("x_train", "y_train", "x_test", "y_test")}
    refused(zipped(tmp_path, content, "toy.npz"), "x_train")


# --------------------------------------------------------------------------------------- image folders


@pytest.mark.parametrize("place", [zipped, unpacked])
def test_folder_and_zip_read_alike(tmp_path, place):
    data = load(place(tmp_path, split_tree()), validation=0.25)
    assert data.name == "toy"
    assert data.input_shape == (3, 6, 8)
    assert data.class_names == ("cat", "dog")
    assert (counts(data.train), counts(data.validation), counts(data.test)) == ([3, 3], [1, 1], [4, 4])
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (data.mean, data.std))
    values = ((data.test.x * std + mean) * 255).round()[:, 0, 0, 0].tolist()
    assert values == [0, 10, 20, 30, 100, 110, 120, 130]


@pytest.mark.parametrize("place", [zipped, unpacked])
@pytest.mark.parametrize("root", ["", "animals/"])
def test_folder_without_splits_gets_a_stratified_test_split(tmp_path, place, root):
    files = {f"{root}{name}/{i}.JPG": picture(kind="JPEG") for name in ("b", "a") for i in range(10)}
    data = load(place(tmp_path, files))
    assert data.class_names == ("a", "b")
    assert counts(data.test) == [2, 2]
    assert len(data.train) + len(data.validation) == 16


def test_hidden_and_other_files_are_left_out(tmp_path):
    files = split_tree() | {
        "__MACOSX/train/cat/._0.png": b"",
        "train/.DS_Store": b"",
        "train/cat/.hidden.png": b"",
        "README.txt": b"",
        "./train/dog/dotted.png": picture(),
    }
    assert counts(load(zipped(tmp_path, files), validation=0).train) == [4, 5]


def test_grey_images_stay_grey_unless_one_has_colour(tmp_path):
    files = split_tree(mode="L")
    assert load(zipped(tmp_path, files)).input_shape == (1, 6, 8)
    files["test/cat/0.png"] = picture(mode="RGBA")
    assert load(zipped(tmp_path, files)).input_shape == (3, 6, 8)


@pytest.mark.parametrize("place", [zipped, unpacked])
def test_image_of_another_size_is_named(tmp_path, place):
    path = place(tmp_path, split_tree() | {"train/dog/odd.png": picture((9, 9))})
    refused(path, "'train/dog/odd.png' is 9 x 9 pixels", "is 8 x 6", "give image_size")
    assert load(path, image_size=5).input_shape == (3, 5, 5)
    assert load(path, image_size=(5, 4)).input_shape == (3, 5, 4)


def test_limit_spares_decoding(tmp_path, monkeypatch):
    decoded = []
    original = images._decode
    monkeypatch.setattr(images, "_decode", lambda *given: (decoded.append(given[1]), original(*given))[1])
    data = load(zipped(tmp_path, split_tree(per_class=20)), limit=6, validation=0)
    assert counts(data.train) == [3, 3]
    assert sum(name.startswith("train") for name in decoded) == 6


@pytest.mark.parametrize("place", [zipped, unpacked])
@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"no image", "is no image, or is damaged"),
        (picture((64, 64))[:100], "is no image, or is damaged"),
        (picture(kind="JPEG")[:-200], "is no image, or is damaged"),
        (picture(kind="GIF"), "is no image, or is damaged"),
        (picture(mode="I;16"), "has more than 8 bits per pixel"),
    ],
)
def test_damaged_image_is_named(tmp_path, place, content, part):
    refused(place(tmp_path, split_tree() | {"train/dog/bad.png": content}), "'train/dog/bad.png'", part)


def giant_png(side: int) -> bytes:
    """A PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_500, 50_000])
def test_decompression_bomb_is_refused(tmp_path, side):
    path = zipped(tmp_path, split_tree() | {"train/dog/bomb.png": giant_png(side)})
    refused(path, "'train/dog/bomb.png' has more than 67 million pixels", "shrink it")


def test_images_that_need_too_much_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_DECODED_BYTES", 1000)
    refused(zipped(tmp_path, split_tree()), "16 images of 8 x 6 pixels", "give a smaller image_size, or a limit")


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({"train/cat/a.txt": b""}, ["has no images (.jpg, .jpeg, .png)", "train/<class>/<image>"]),
        ({"a.png": picture()}, ["'a.png' does not lie where an image is expected"]),
        (split_tree() | {"train/a.png": picture()}, ["'train/a.png' does not lie"]),
        (split_tree() | {"train/cat/deep/a.png": picture()}, ["'train/cat/deep/a.png' does not lie"]),
        ({"a/b/c/d/e.png": picture()}, ["'a/b/c/d/e.png' does not lie"]),
        (split_tree() | {"train/eel/a.txt": b""}, ["class folder 'train/eel' is empty"]),
        (split_tree() | {"val/cat/a.png": picture()}, ["has the splits test, train, val: give exactly"]),
        ({"train/cat/a.png": picture()}, ["has the splits train: give exactly train and test"]),
        (split_tree() | {"test/eel/a.png": picture()}, ["test has class 'eel', which train has no image"]),
        ({"cat/a.png": picture(), "dog/a.png": picture()}, ["2 samples are too few to split a test set off"]),
    ],
)
@pytest.mark.parametrize("place", [zipped, unpacked])
def test_other_layouts_are_refused(tmp_path, place, files, parts):
    refused(place(tmp_path, files), "toy", *parts)


def test_empty_class_folder_is_named(tmp_path):
    (unpacked(tmp_path, split_tree()) / "test" / "eel").mkdir()
    refused(tmp_path / "toy", "class folder 'test/eel' is empty")
    refused(zipped(tmp_path, split_tree() | {"train/eel/": b""}), "class folder 'train/eel' is empty")


# ------------------------------------------------------------------------------------------ hostile zips


@pytest.mark.parametrize(
    "name",
    ["../x.png", "train/../../x.png", "/etc/x.png", "train\\cat\\x.png", "C:/x.png", "c:x.png", "..\\x.png"],
)
def test_zip_entry_that_climbs_out_is_named(tmp_path, name):
    path = zipped(tmp_path, split_tree() | {name: picture()})
    refused(path, repr(name), "leads out of the archive", "pack it again")


def test_zip_bomb_is_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 2**20)
    path = tmp_path / "toy.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip_file:
        zip_file.writestr("train/cat/a.png", bytes(2**21))
    assert path.stat().st_size < 10_000
    refused(path, "would unpack to 0.0 GiB, above the limit of")


def test_huge_zip_entry_is_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 2**20)
    path = zipped(tmp_path, split_tree() | {"train/dog/huge.png": bytes(2**21)})
    refused(path, "entry 'train/dog/huge.png' would unpack to more than 1 MiB", "shrink it")


def test_truncated_zip_is_refused(tmp_path):
    path = zipped(tmp_path, split_tree())
    path.write_bytes(path.read_bytes()[:-400])
    refused(path, "toy.zip' is not a zip archive, or is cut short", "download or pack it again")


def test_damaged_zip_entry_is_named(tmp_path):
    path = zipped(tmp_path, split_tree())
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    refused(path, "entry 'train/cat/0.png' is damaged", "CRC")


def test_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path, {"train/cat/a.png": picture()})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, "'train/cat/a.png' is encrypted")


def test_entry_that_occurs_twice_is_refused(tmp_path):
    path = zipped(tmp_path, split_tree())
    with zipfile.ZipFile(path, "a") as zip_file, pytest.warns(UserWarning, match="Duplicate"):
        zip_file.writestr("train/cat/0.png", picture())
    refused(path, "'train/cat/0.png' occurs 2 times")


# --------------------------------------------------------------------------------------- the shared files


def test_mnist_loads():
    data = load(shared("mnist.npz"))
    assert data.input_shape == (1, 28, 28)
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.mean[0] == pytest.approx(0.1307, abs=1e-3)
    assert data.std[0] == pytest.approx(0.3081, abs=1e-3)


def test_cifar_zip_loads():
    data = load(shared("cifar10-20k.zip"), limit=200)
    assert data.input_shape == (3, 32, 32)
    assert data.class_names[:2] == ("airplane", "automobile")
    assert counts(data.train) == [18] * 10
    assert len(data.test) == 5_000


# ---------------------------------------------------------------------------------------------- batches


def numbered(count: int = 10, shape: tuple[int, ...] = (1, 8, 8)) -> Split:
    x = torch.arange(count, dtype=torch.float32).view(-1, *[1] * len(shape)).expand(count, *shape)
    return Split(x.contiguous(), torch.arange(count))


def walk(batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = list(batches)
    return torch.cat([x for x, _ in pairs]), torch.cat([targets["t"] for _, targets in pairs])


def test_batches_drop_nothing_and_keep_x_and_targets_together():
    split = numbered()
    batches = Batches(split, {"t": split.labels}, 4, shuffle=True)
    assert len(batches) == len(list(batches)) == 3
    x, targets = walk(batches)
    assert torch.equal(x[:, 0, 0, 0].long(), targets)
    assert sorted(targets.tolist()) == list(range(10))


def test_batches_keep_the_order_without_shuffle():
    split = numbered()
    batches = Batches(split, {"t": split.labels}, 4)
    assert walk(batches)[1].tolist() == walk(batches)[1].tolist() == list(range(10))


def test_each_epoch_has_its_own_order_and_can_be_resumed():
    split = numbered(100)
    first, second = (Batches(split, {"t": split.labels}, 7, seed=3, shuffle=True) for _ in range(2))
    orders = [walk(first)[1].tolist() for _ in range(3)]
    assert orders[0] != orders[1] != orders[2]
    second.set_epoch(2)
    assert walk(second)[1].tolist() == orders[2]
    second.set_epoch(0)
    assert walk(second)[1].tolist() == orders[0]
    assert walk(Batches(split, {"t": split.labels}, 7, seed=4, shuffle=True))[1].tolist() != orders[0]


def test_a_batch_may_be_changed_in_place():
    split = numbered()
    for x, targets in Batches(split, {"t": split.labels}, 4):
        x.zero_()
        targets["t"].zero_()
    assert split.x[9].min() == 9
    assert split.labels[9] == 9


def test_empty_split_gives_no_batch():
    split = Split(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64))
    batches = Batches(split, {}, 4, shuffle=True, augment="crop")
    assert len(batches) == len(list(batches)) == 0


@pytest.mark.parametrize(("name", "padding", "flips"), [("crop", 2, False), ("crop-flip", 4, True)])
def test_augmentation_is_one_of_the_possible_shifts(name, padding, flips):
    x = torch.randn(64, 3, 8, 9)
    out = AUGMENTS[name](x, torch.Generator().manual_seed(0))
    assert out.shape == x.shape
    padded = torch.nn.functional.pad(x, (padding,) * 4)
    mirrored = 0
    for image, before in zip(out, padded, strict=True):
        windows = before.unfold(1, 8, 1).unfold(2, 9, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        plain = bool((windows == image).flatten(1).all(1).any())
        mirror = bool((windows.flip(-1) == image).flatten(1).all(1).any())
        assert plain or (flips and mirror)
        mirrored += not plain
    assert (10 < mirrored < 54) == flips


def test_augmentation_is_seeded_by_the_epoch():
    split = Split(torch.randn(20, 3, 8, 8), torch.arange(20))
    first, second = (Batches(split, {"t": split.labels}, 8, augment="crop-flip") for _ in range(2))
    epochs = [walk(first)[0] for _ in range(2)]
    assert not torch.equal(epochs[0], epochs[1])
    second.set_epoch(1)
    assert torch.equal(walk(second)[0], epochs[1])


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"augment": "rotate"}, "augment is 'rotate': give 'crop', 'crop-flip' or None"),
        ({"targets": {"t": torch.zeros(9)}}, "task 't' has shape (9,), but the split has 10 samples"),
        ({"split": numbered(10, (3,)), "augment": "crop"}, "needs images (N, C, H, W), not vectors"),
    ],
)
def test_impossible_batches_are_refused(change, part):
    given = {"split": numbered(), "targets": {}, "batch_size": 4} | change
    with pytest.raises(DataError) as caught:
        Batches(**given)
    assert part in str(caught.value)


def test_negative_epoch_is_refused():
    with pytest.raises(DataError, match="epoch is -1"):
        Batches(numbered(), {}, 4).set_epoch(-1)


# ---------------------------------------------------------------------------------------------- checked


def good(count: int = 2, length: int = 3) -> list[object]:
    return [(torch.zeros(length, 4), {"a": torch.zeros(length), "b": torch.zeros(length)}) for _ in range(count)]


def test_checked_passes_good_batches_on():
    batches = good()
    assert list(checked(batches, ["a", "b"])) == batches
    split = numbered()
    assert len(list(checked(Batches(split, {"t": split.labels}, 4), ["t"]))) == 3
    pairs = [(torch.zeros(4), {"a": torch.tensor(1.0)}) for _ in range(6)]
    assert len(list(checked(DataLoader(pairs, batch_size=3), ["a"]))) == 2  # type: ignore[arg-type]


def test_checked_takes_no_epoch_of_its_own():
    split = numbered(50)
    first, second = (Batches(split, {"t": split.labels}, 50, shuffle=True) for _ in range(2))
    assert torch.equal(next(checked(first, ["t"]))[0], next(iter(second))[0])


def one_shot() -> Iterator[object]:
    yield from good()


@pytest.mark.parametrize("batches", [one_shot(), iter(good()), zip(good(), good(), strict=True)])
def test_checked_refuses_one_shot_iterators_at_once(batches):
    with pytest.raises(DataError, match=r"calibration is a one-shot .*: pass a list of batches or a DataLoader"):
        checked(batches, ["a"])


@pytest.mark.parametrize("batches", [torch.zeros(2, 3), None, 3])
def test_checked_refuses_what_holds_no_batches(batches):
    with pytest.raises(DataError, match=f"what I gave is a {type(batches).__name__}: pass a list"):
        checked(batches, ["a"], what="what I gave")


@pytest.mark.parametrize(
    ("batch", "part"),
    [
        (torch.zeros(3, 4), "calibration batch 2 is a Tensor: give (x, {task name: target})"),
        ((torch.zeros(3, 4), torch.zeros(3)), "batch 2 is a tuple of (Tensor, Tensor)"),
        ([1, {}], "batch 2 is a list of (int, dict)"),
        ((torch.zeros(3, 4), {"a": torch.zeros(3)}), "batch 2 has no target for task 'b' (its targets: 'a')"),
        ((torch.full((3, 4), torch.nan), {}), "batch 2 has NaN or infinite values in x"),
        ((torch.full((3, 4), torch.inf), {}), "batch 2 has NaN or infinite values in x"),
        ((torch.zeros(0, 4), {}), "batch 2 has an x of shape (0, 4)"),
        (
            (torch.zeros(3, 4), {"a": torch.zeros(2)}),
            "batch 2: the target of task 'a' has shape (2,), but x has 3",
        ),
        (
            (torch.zeros(3, 4), {"a": [0, 1, 2]}),
            "batch 2: the target of task 'a' is a list of (int, int, int): give a Tensor",
        ),
        (
            (torch.zeros(3, 4), {"a": torch.full((3,), torch.nan)}),
            "infinite values in the target of task 'a'",
        ),
        (
            (torch.zeros(3, 5), {"a": torch.zeros(3), "b": torch.zeros(3)}),
            "batch 2 has inputs of shape (5,), but those before have (4,)",
        ),
    ],
)
def test_checked_names_the_bad_batch(batch, part):
    with pytest.raises(DataError) as caught:
        list(checked([*good(), batch], ["a", "b"]))
    assert part in str(caught.value)


def test_checked_refuses_no_batches():
    with pytest.raises(DataError, match="calibration is empty"):
        list(checked([], ["a"]))
    assert issubclass(DataError, PamOptError)
