"""Image folders, plain or zipped: ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*``."""

import os
from pathlib import Path

from pam_opt.data.archive import open_zip_store
from pam_opt.data.images import decode_all
from pam_opt.data.layout import find_layout
from pam_opt.data.raw import Format, LoadOptions, Raw
from pam_opt.data.store import Store, open_directory
from pam_opt.data.subsets import choose_limited


def read_directory(path: Path, options: LoadOptions) -> Raw:
    """Read a plain image folder; raises ``DataError`` as ``find_layout`` and ``decode_all`` do."""
    with open_directory(path) as store:
        return _read(path.resolve().name, store, options)


def read_zip(path: Path, options: LoadOptions) -> Raw:
    """Read a zipped image folder in place; raises ``DataError`` as ``open_archive`` does, too."""
    with open_zip_store(path) as store:
        return _read(path.stem, store, options)


def _read(name: str, store: Store, options: LoadOptions) -> Raw:
    layout = find_layout(store)
    # Limited here already, so that what is left out is not decoded.
    train = layout.train.at(choose_limited(layout.train.labels, options.limit, options.seed))
    x = decode_all(store, train.files + layout.test.files, options.image_size)
    count = len(train.files)
    return Raw(name, x[:count], train.labels, x[count:], layout.test.labels, layout.class_names)


def _is_zip(source: str) -> bool:
    return source.lower().endswith(".zip") and os.path.isfile(source)


DIRECTORY_FORMAT = Format(
    "an image folder (train/<class>/*.jpg and test/<class>/*.jpg, or <class>/*.jpg; .png too)",
    os.path.isdir,
    read_directory,
)
ZIP_FORMAT = Format("a .zip of such a folder", _is_zip, read_zip)
