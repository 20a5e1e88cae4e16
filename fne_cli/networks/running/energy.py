"""The energy that the GPU has taken, where its driver counts it."""

from __future__ import annotations

import os
import re
from typing import Any


def joules() -> float | None:
    """Energy of the GPU that TensorFlow computes on since its driver was loaded, whoever used it; None if unknown.

    That is so without a GPU, without nvidia-ml-py (`fne-cli[gpu]`), for GPUs older than Volta, and where it is not
    certain which of several GPUs it is.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        try:
            device = _device(pynvml)
            return None if device is None else float(pynvml.nvmlDeviceGetTotalEnergyConsumption(device)) / 1000
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None


def _device(pynvml: Any) -> Any:
    """The first GPU that the process sees, None if its number may mean another one to the driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    if visible.startswith("GPU-"):
        return pynvml.nvmlDeviceGetHandleByUUID(visible)
    ordered = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if pynvml.nvmlDeviceGetCount() > 1 and not ordered:
        return None  # CUDA has the fastest first, the driver the first slot
    if visible and not re.fullmatch(r"\d{1,4}", visible):
        return None
    return pynvml.nvmlDeviceGetHandleByIndex(int(visible or 0))
