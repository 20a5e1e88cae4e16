"""A batch that does not fit, tried for real by `bench_gpu.py`: this process may take little of the card's memory."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.networks.backend import accelerators, load_keras
from fne_cli.networks.prepared import Prepared
from fne_cli.networks.recipe import Recipe

CARD = 4 << 30
"""Bytes that the process may take: less than the two largest tensors of 256 images in VGG16 have."""
_BALLAST = 256 << 20


def halved(model: str, few: int, rows: int, limit: int, noise: Callable[[int, tuple[int, int]], np.ndarray]) -> Any:
    """What becomes of a batch of `rows` images if the process may take `limit` bytes.

    The first `few` of them are computed beforehand, in a batch that fits, and compared. On a processor it is tried with
    PyTorch alone, and `limit` is what the process may take besides what it has already.
    """
    backend = load_keras().backend.backend()
    if backend == "tensorflow" and _gpus():
        _of_tensorflow(limit)
    if not accelerators() and backend != "torch":
        return {"tried": "no: there is no accelerator, and this backend ends the process where memory is refused"}
    small = Prepared.of(Recipe(model, "random", batch_size=few))
    pixels = np.zeros((rows, *small.image_size, 3), np.uint8)
    pixels[:few] = noise(few, small.image_size)
    wanted = [np.asarray(values) for values in small.extractor(print)(pixels[:few])]
    kept = _narrowed(backend, limit)
    notes: list[str] = []
    began = time.perf_counter()
    call = Prepared.of(Recipe(model, "random", batch_size=rows)).extractor(notes.append)
    found = [np.asarray(values)[:few] for values in call(pixels)]
    del kept
    apart = [float(np.abs(one - other).max() / np.abs(other).max()) for one, other in zip(found, wanted, strict=True)]
    return {
        **{"tried": "yes", "bytes": limit, "rows": rows, "used": call.used, "seconds": time.perf_counter() - began},
        **{"largest_difference": max(apart), "notes": notes},
    }


def _gpus() -> list[Any]:
    import tensorflow as tf

    return list(tf.config.list_physical_devices("GPU"))


def _of_tensorflow(limit: int) -> None:
    """It takes the whole card unless it is told before it begins."""
    import tensorflow as tf

    given = [tf.config.LogicalDeviceConfiguration(memory_limit=limit >> 20)]
    tf.config.set_logical_device_configuration(_gpus()[0], given)
    tf.config.set_visible_devices(_gpus()[:1], "GPU")


def _narrowed(backend: str, limit: int) -> Any:
    """Leave `limit` bytes to this process; what comes back has to be kept meanwhile."""
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        ballast = []
        while (stats := device.memory_stats())["bytes_limit"] - stats["bytes_in_use"] > limit:
            ballast.append(jax.block_until_ready(jax.device_put(np.zeros(_BALLAST, np.uint8), device)))
        return ballast
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
        else:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * os.sysconf("SC_PAGE_SIZE") + limit
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return None
