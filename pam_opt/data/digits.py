"""Scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels, part of that package.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
doi:10.24432/C50P49 (its test part).
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from pam_opt.data.raw import Format, LoadOptions, Raw
from pam_opt.data.subsets import split_test

_WHITE = 16.0  # the images count 0 to 16


def read(path: Path, options: LoadOptions) -> Raw:
    """Read the digits as (N, 1, 8, 8) float32 in [0, 1], with a stratified fifth as test split."""
    data, digits = load_digits(return_X_y=True)
    x = (np.asarray(data, dtype=np.float32) / _WHITE).reshape(-1, 1, 8, 8)
    y = np.asarray(digits, dtype=np.int64)
    train, test = split_test(y, "digits")
    return Raw("digits", x[train], y[train], x[test], y[test], tuple(str(digit) for digit in range(10)))


FORMAT = Format("'digits'", lambda source: source == "digits", read)
