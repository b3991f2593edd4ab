"""Data in: digits, ``.npz`` files and image folders become normalised splits, and splits become batches."""

from os import PathLike

from pam_opt.data.batches import Batches
from pam_opt.data.check import checked
from pam_opt.data.dataset import Dataset, Split
from pam_opt.data.formats import find_format
from pam_opt.data.prepare import prepare
from pam_opt.data.raw import LoadOptions, image_size_pair

__all__ = ["Batches", "Dataset", "Split", "checked", "load"]


def load(
    source: str | PathLike[str],
    *,
    validation: float = 0.1,
    seed: int = 0,
    image_size: int | tuple[int, int] | None = None,
    limit: int | None = None,
) -> Dataset:
    """Load a dataset, split off validation and normalise it by its training split.

    Parameters
    ----------
    source : str or path
        ``"digits"`` (scikit-learn's 8 x 8 digits, part of that package), a ``.npz`` file with ``x_train``,
        ``y_train``, ``x_test`` and ``y_test``, or an image folder, plain or zipped: ``train/<class>/*.jpg``
        and ``test/<class>/*.jpg``, or ``<class>/*.jpg`` (also ``.jpeg`` and ``.png``). Digits and a folder
        without ``train`` and ``test`` get a stratified test split of 20 %, the same for every ``seed``, so
        that no seed trains on what another one tests on.
    validation : float in [0, 1)
        Share of the training samples that becomes the validation split, stratified by class unless the data
        are multi-label. Zero gives an empty validation split.
    seed : int, at least 0
        Decides which samples ``validation`` and ``limit`` take.
    image_size : int or (height, width), pixels
        Resizes every image; needed when the images of a folder differ in size.
    limit : int
        Use at most this many training samples, stratified, validation included; for quick runs. The test
        split is never reduced.

    Returns
    -------
    Dataset
        uint8 values are scaled to [0, 1], then every channel is normalised with the mean and standard
        deviation of the training split.

    Raises
    ------
    DataError
        The source does not exist, has no known form, is damaged or hostile, or holds unusable values; or an
        option is out of range. The message names the file, the array or the zip entry.

    Examples
    --------
    >>> from pam_opt.data import load
    >>> digits = load("digits", limit=500)
    >>> digits.input_shape, len(digits.train), len(digits.validation), len(digits.test)
    ((1, 8, 8), 450, 50, 359)
    """
    options = LoadOptions(validation, seed, image_size_pair(image_size), limit)
    path, data_format = find_format(source)
    return prepare(data_format.read(path, options), options)
