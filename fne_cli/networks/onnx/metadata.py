"""How images are to be prepared, by what an ONNX file says itself or what lies beside it."""

from __future__ import annotations

import json
import os
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.networks.preprocessing import spelled

OWN = "fne.preprocess"
BESIDE = "preprocessor_config.json"
_BYTES = 1 << 20
_RANGES = {"NominalRange_0_255": (1.0, 0.0), "Normalized_0_1": (1 / 255, 0.0), "Normalized_1_1": (2 / 255, 1.0)}


def preprocess_of(path: str, message: Any) -> tuple[str, str] | None:
    """(preprocessing, where that is said); None if nobody says it. Raises BadInput for what is none."""
    told = {entry.key: entry.value for entry in message.metadata_props}
    if OWN in told:
        return _spelled(told[OWN], f"{path}, {OWN}"), f"its metadata ({OWN})"
    if told.get("Image.NominalPixelRange") in _RANGES:
        scale, mean = _RANGES[told["Image.NominalPixelRange"]]
        order = "bgr" if told.get("Image.BitmapPixelFormat", "").lower().startswith("bgr") else "rgb"
        return spelled(f"mean={mean},order={order},scale={scale!r}"), "its metadata (Image.NominalPixelRange)"
    name = beside(path)
    found = None if name is None else _of_processor(name)
    return None if name is None or found is None else (_spelled(found, name), name)


def beside(path: str) -> str | None:
    """The file of Hugging Face that says how images are prepared, in the model's folder or the one around `onnx/`."""
    folder = os.path.dirname(os.path.abspath(path))
    folders = [folder, *([os.path.dirname(folder)] if os.path.basename(folder) == "onnx" else [])]
    names = [os.path.join(folder, BESIDE) for folder in folders]
    return next((name for name in names if os.path.isfile(name)), None)


def _of_processor(path: str) -> str | None:
    """The numbers of a preprocessor_config.json, None if it has none or is none."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_BYTES))
        scaled = found.get("do_rescale", True)
        scale = float(found.get("rescale_factor", 1 / 255)) if scaled else 1.0
        mean, std = found["image_mean"], found["image_std"]
        if not found.get("do_normalize", True):
            mean, std = [0.0], [1.0]
        mean, std = ("/".join(repr(float(value)) for value in values) for values in (mean, std))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return f"mean={mean},std={std},scale={scale!r}"


def _spelled(text: str, where: str) -> str:
    try:
        return spelled(text)
    except BadInput as error:
        raise BadInput(
            f"{where} should say how images are prepared. Found: {error}", remedy="Give --preprocess."
        ) from error
