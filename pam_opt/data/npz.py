"""Datasets in one ``.npz`` file: ``x_train, y_train, x_test, y_test`` and, if wanted, ``class_names``."""

import os
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pam_opt.data.archive import open_archive
from pam_opt.data.arrays import as_inputs, as_labels, require_same_length
from pam_opt.data.raw import Format, LoadOptions, Raw
from pam_opt.errors import DataError

_NEEDED = ("x_train", "y_train", "x_test", "y_test")


def read(path: Path, options: LoadOptions) -> Raw:
    """Read a ``.npz`` file; never unpickles.

    Raises
    ------
    DataError
        The file is damaged, arrays are missing, hold Python objects or values that cannot be used, do not
        fit each other, or a class has no training sample. The message names the file and the array.
    """
    with open_archive(path):
        pass  # refuses what is no zip archive, or unpacks to too much, before numpy opens it
    try:
        return _raw(path.stem, _read_arrays(path))
    except DataError as err:
        raise DataError(f"'{path}': {err}") from err


def _raw(name: str, arrays: dict[str, np.ndarray]) -> Raw:
    x_train, x_test = (as_inputs(key, arrays[key]) for key in ("x_train", "x_test"))
    y_train, y_test = (as_labels(key, arrays[key]) for key in ("y_train", "y_test"))
    require_same_length("x_train", x_train, "y_train", y_train)
    require_same_length("x_test", x_test, "y_test", y_test)
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        raise DataError(
            f"x_train and x_test differ: samples are {x_train.shape[1:]} {x_train.dtype} "
            f"and {x_test.shape[1:]} {x_test.dtype}"
        )
    if y_train.shape[1:] != y_test.shape[1:]:
        raise DataError(f"y_train and y_test differ in form: shapes {y_train.shape} and {y_test.shape}")
    classes = _class_names(arrays.get("class_names"), y_train)
    _require_every_class(y_train, y_test, classes)
    return Raw(name, x_train, y_train, x_test, y_test, classes)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with _opened(path) as file:
        missing = [name for name in _NEEDED if name not in file.files]
        if missing:
            raise DataError(
                f"there is no {', '.join(missing)}; there is {', '.join(file.files) or 'nothing'}. "
                f"Save the arrays as {', '.join(_NEEDED)}"
            )
        wanted = [name for name in (*_NEEDED, "class_names") if name in file.files]
        return {name: _read_array(file, name) for name in wanted}


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError) as err:
        raise DataError(f"numpy cannot open it ({err}): save it with numpy.savez") from err


def _read_array(file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        array = file[name]
    except ValueError as err:
        if "allow_pickle" not in str(err):
            raise DataError(f"{name} is damaged ({err}): save or download the file again") from err
        raise DataError(
            f"{name} contains Python objects, which are never loaded because they can run code: "
            "save it as numbers, all samples of one shape"
        ) from err
    except (BadZipFile, zlib.error, OSError, EOFError, MemoryError, SyntaxError, NotImplementedError) as err:
        raise DataError(f"{name} is damaged ({err}): save or download the file again") from err
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name} is no numpy array: save it with numpy.savez")
    return array


def _class_names(given: np.ndarray | None, y_train: np.ndarray) -> tuple[str, ...]:
    if given is None:
        count = y_train.shape[1] if y_train.ndim == 2 else len(np.unique(y_train))
        return tuple(str(number) for number in range(count))
    if given.ndim != 1 or given.dtype.kind != "U" or len(set(given.tolist())) != len(given):
        raise DataError(f"class_names is {given.dtype} {given.shape}: give one distinct text per class")
    if y_train.ndim == 2 and len(given) != y_train.shape[1]:
        raise DataError(f"class_names has {len(given)} names but y_train has {y_train.shape[1]} labels")
    return tuple(given.tolist())


def _require_every_class(y_train: np.ndarray, y_test: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse classes (or labels) without a training sample, and test classes that training lacks."""
    multi_label = y_train.ndim == 2
    present = np.flatnonzero(y_train.any(axis=0)) if multi_label else np.unique(y_train)
    empty = np.setdiff1d(np.arange(len(names)), present)
    if len(empty):
        what = "label" if multi_label else "class"
        raise DataError(
            f"{what} {empty[0]} has no sample in y_train, which has {what} numbers {_few(present)}: "
            "number from 0 without gaps, and give at least one sample of each"
        )
    if multi_label:
        return
    for array, labels in (("y_train", y_train), ("y_test", y_test)):
        if labels.max() >= len(names):
            raise DataError(
                f"{array} has class {labels.max()}, but there are {len(names)} classes, "
                f"0 to {len(names) - 1}, by class_names or else by y_train"
            )


def _few(numbers: np.ndarray) -> str:
    shown = ", ".join(str(number) for number in numbers[:12])
    return shown + (", ..." if len(numbers) > 12 else "")


def _accepts(source: str) -> bool:
    return source.lower().endswith(".npz") and os.path.isfile(source)


FORMAT = Format("a .npz file with x_train, y_train, x_test, y_test", _accepts, read)
