"""Which file of an image folder belongs to which split and class."""

from dataclasses import dataclass

import numpy as np

from pam_opt.data.store import Store
from pam_opt.data.subsets import split_test
from pam_opt.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_SPLITS = ("train", "test")
_FORMS = "train/<class>/<image> and test/<class>/<image>, or <class>/<image>"

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """Hold the files of one split and their (N,) int64 class numbers."""

    files: tuple[str, ...]
    labels: np.ndarray

    def at(self, indices: np.ndarray) -> "Listing":
        """Return the listing of some of the files."""
        return Listing(tuple(self.files[i] for i in indices), self.labels[indices])


@dataclass(frozen=True)
class Layout:
    """Hold an image folder's splits and its class names, sorted."""

    train: Listing
    test: Listing
    class_names: tuple[str, ...]


def find_layout(store: Store) -> Layout:
    """Find splits and classes from the names in a store.

    A single folder around everything is looked through. Hidden files and files that are no images are left
    out.

    Raises
    ------
    DataError
        There are no images, they lie at other depths, a class folder is empty, or splits do not fit.
    """
    images = sorted(_parts(name) for name in store.files if _is_image(name))
    if not images:
        raise DataError(f"'{store.source}' has no images ({', '.join(IMAGE_SUFFIXES)}): lay out {_FORMS}")
    root = _root(images)
    _require_one_depth(store, images, len(root))
    _require_full_classes(store, images, root)
    if len(images[0]) - len(root) == 2:
        return _single(store, images)
    return _split(store, images, len(root))


def _parts(name: str) -> Parts:
    return tuple(name.split("/"))


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not _is_hidden(_parts(name))


def _is_hidden(parts: Parts) -> bool:
    return parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts)


def _root(images: list[Parts]) -> Parts:
    """Return the one folder around everything, if there is one that is not itself a split or a class."""
    first = images[0][0]
    shared = all(parts[0] == first and len(parts) >= 3 for parts in images)
    return (first,) if shared and first not in _SPLITS else ()


def _require_one_depth(store: Store, images: list[Parts], skip: int) -> None:
    depth = len(images[0])
    odd = next((parts for parts in images if len(parts) != depth), images[0])
    if len(odd) != depth or depth - skip not in (2, 3):
        raise DataError(
            f"'{store.source}': '{'/'.join(odd)}' does not lie where an image is expected: lay out {_FORMS}"
        )


def _require_full_classes(store: Store, images: list[Parts], root: Parts) -> None:
    full = {parts[:-1] for parts in images}
    depth = len(images[0]) - 1
    folders = sorted(_parts(name) for name in store.folders)
    for folder in folders:
        inside = len(folder) == depth and folder[: len(root)] == root and not _is_hidden(folder)
        if inside and folder not in full:
            raise DataError(
                f"'{store.source}': class folder '{'/'.join(folder)}' is empty, or has no image "
                f"({', '.join(IMAGE_SUFFIXES)}): add images or remove it"
            )


def _single(store: Store, images: list[Parts]) -> Layout:
    """Lay out <class>/<image>, with a test split taken from it."""
    names = tuple(sorted({parts[-2] for parts in images}))
    listing = _listing(images, names)
    train, test = split_test(listing.labels, store.source)
    return Layout(listing.at(train), listing.at(test), names)


def _split(store: Store, images: list[Parts], skip: int) -> Layout:
    """Lay out train/<class>/<image> and test/<class>/<image>."""
    found = {parts[skip] for parts in images}
    if found != set(_SPLITS):
        raise DataError(
            f"'{store.source}' has the splits {', '.join(sorted(found))}: give exactly train and test "
            "(validation is split off train)"
        )
    train, test = ([parts for parts in images if parts[skip] == split] for split in _SPLITS)
    names = tuple(sorted({parts[-2] for parts in train}))
    unknown = sorted({parts[-2] for parts in test} - set(names))
    if unknown:
        raise DataError(f"'{store.source}': test has class '{unknown[0]}', which train has no image of")
    return Layout(_listing(train, names), _listing(test, names), names)


def _listing(images: list[Parts], names: tuple[str, ...]) -> Listing:
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[parts[-2]] for parts in images], dtype=np.int64)
    return Listing(tuple("/".join(parts) for parts in images), labels)
