"""JPEG and PNG files to arrays."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pam_opt.data.store import Store
from pam_opt.errors import DataError

MAX_IMAGE_PIXELS = 64 * 2**20
"""The most pixels one image may have."""

MAX_DECODED_BYTES = 16 * 2**30
"""The most memory all images may take together."""

_GREY_MODES = ("1", "L", "LA")
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def decode_all(store: Store, files: Sequence[str], size: tuple[int, int] | None) -> np.ndarray:
    """Decode images to (N, C, H, W) uint8; grey if all of them are, else RGB.

    Parameters
    ----------
    store : where the files are
    files : names, at least one
    size : (height, width) to resize to; None demands that all images have the size of the first

    Raises
    ------
    DataError
        An image is damaged, too large, deeper than 8 bits or of another size; the message names it.
    """
    first = _decode(store, files[0], size)
    height, width = first.shape[:2]
    _require_room(store, len(files), height, width)
    images = [first]
    for name in files[1:]:  # threads were slower on images of 32 pixels
        images.append(_decode(store, name, size))
        _require_size(store, name, images[-1], files[0], (height, width))
    return _stacked(images)


def _decode(store: Store, name: str, size: tuple[int, int] | None) -> np.ndarray:
    """Decode one image to (H, W) grey or (H, W, 3)."""
    content = store.read(name)
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            _require_plain(store, name, image)
            pixels = image.convert("L" if image.mode in _GREY_MODES else "RGB")
    except DataError:
        raise
    except Image.DecompressionBombError as err:
        raise _too_large(store, name) from err
    except Exception as err:  # Pillow raises almost anything on damaged files
        raise DataError(f"'{store.source}': '{name}' is no image, or is damaged ({err}): replace it") from err
    if size is not None and pixels.size != (size[1], size[0]):
        pixels = pixels.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(pixels)


def _require_plain(store: Store, name: str, image: Image.Image) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_large(store, name)
    if image.mode in _DEEP_MODES:
        raise DataError(f"'{store.source}': '{name}' has more than 8 bits per pixel: convert it to 8 bits")


def _too_large(store: Store, name: str) -> DataError:
    limit = f"{MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
    return DataError(f"'{store.source}': '{name}' has more than {limit}, the limit for one image: shrink it")


def _require_room(store: Store, count: int, height: int, width: int) -> None:
    needed = 4 * 3 * count * height * width  # float32, RGB
    if needed > MAX_DECODED_BYTES:
        raise DataError(
            f"'{store.source}': {count} images of {width} x {height} pixels take {needed / 2**30:,.1f} GiB, "
            f"above the limit of {MAX_DECODED_BYTES / 2**30:g} GiB: give a smaller image_size, or a limit"
        )


def _require_size(store: Store, name: str, pixels: np.ndarray, first: str, expected: tuple[int, int]) -> None:
    height, width = pixels.shape[:2]
    if (height, width) != expected:
        raise DataError(
            f"'{store.source}': '{name}' is {width} x {height} pixels, but '{first}' is "
            f"{expected[1]} x {expected[0]}: give image_size to resize all of them"
        )


def _stacked(images: list[np.ndarray]) -> np.ndarray:
    channels = 1 if all(image.ndim == 2 for image in images) else 3
    out = np.empty((len(images), channels, *images[0].shape[:2]), dtype=np.uint8)
    for row, image in zip(out, images, strict=True):
        row[...] = image if image.ndim == 2 else image.transpose(2, 0, 1)
    return out
