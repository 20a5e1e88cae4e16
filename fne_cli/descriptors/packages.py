"""The libraries of this room, which not everybody has installed."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

from fne_cli.errors import BadInput


@functools.cache
def opencv() -> Any:
    """The module cv2, one thread for each call: images are what is done side by side. Raises BadInput."""
    _check("cv2", "OpenCV")
    import cv2

    cv2.setNumThreads(1)
    return cv2


def check_hog() -> None:
    """Raises BadInput if what makes histograms of gradients is not there."""
    _check("skimage", "scikit-image")


def _check(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise BadInput(
            f"Hand-crafted features need {package}, which is not installed. pip install 'fne-cli[descriptors]'"
        )
