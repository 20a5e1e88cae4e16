"""The libraries of this room, which not everybody has installed."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

from fne_cli.errors import BadInput


@functools.cache
def opencv() -> Any:
    """The module cv2, one thread for each call: images are what is done side by side. Raises BadInput.

    It is first asked for before there are threads: cv2 imports itself in several steps, and must not be met in between.
    """
    _check("cv2", "OpenCV")
    import cv2

    cv2.setNumThreads(1)
    return cv2


@functools.cache
def hog_function() -> Any:
    """scikit-image's hog. Raises BadInput."""
    _check("skimage", "scikit-image")
    from skimage.feature import hog

    return hog


def _check(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise BadInput(
            f"Hand-crafted features need {package}, which is not installed. pip install 'fne-cli[descriptors]'"
        )
