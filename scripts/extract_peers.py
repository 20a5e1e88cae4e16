"""What people do by hand instead of `fne extract`, for `bench_extract.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fne_cli.networks.prepared import Prepared


def predict_loop(prepared: Prepared, batches: list[np.ndarray]) -> float:
    """The notebook's way: a multi-output model, predict per batch, averages and concatenation in NumPy."""
    import keras
    from keras.applications.vgg16 import preprocess_input

    model = keras.Model(prepared.network.model.inputs, [tap.tensor for tap in prepared.taps])

    def one(batch: np.ndarray) -> list[np.ndarray]:
        maps = model.predict(preprocess_input(batch.astype(np.float32)), verbose=0)
        return [values.mean(axis=(1, 2)) if values.ndim == 4 else values for values in maps]

    one(batches[0])
    began = time.perf_counter()
    collected = [one(batch) for batch in batches]
    for values in zip(*collected, strict=True):
        np.concatenate(values)
    return sum(map(len, batches)) / (time.perf_counter() - began)


def torch_hooks() -> Callable[[np.ndarray], Any] | None:
    """VGG16 in PyTorch with a forward hook at every ReLU, or None if PyTorch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    from torch import nn

    parts: list[Any] = []
    channels = 3
    for filters, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            parts += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        parts.append(nn.MaxPool2d(2))
    parts += [
        nn.Flatten(),
        nn.Linear(512 * 49, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    ]
    model = nn.Sequential(*parts).eval()
    features: list[np.ndarray] = []

    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        features.append((output.mean(dim=(2, 3)) if output.ndim == 4 else output).numpy())

    for module in model:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook)

    def call(batch: np.ndarray) -> list[np.ndarray]:
        features.clear()
        with torch.inference_mode():
            model(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)))
        return list(features)

    return call
