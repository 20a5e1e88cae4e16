"""Small real datasets that come with scikit-learn."""

from __future__ import annotations

import numpy as np


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits: images (n, 8, 8) uint8, 0 black ... 255 white, and digits (n,) 0 ... 9.

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998), as scikit-learn has
    it; its 17 grey levels are spread over 0 ... 255.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.round(bunch.images * (255 / 16)).astype(np.uint8), bunch.target
