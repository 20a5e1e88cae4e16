"""What `bench_gpu.py` compares with: the bare network, a matrix product, and VGG16 by hand in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fne_cli.networks.backend import take_all_bits


def bare(model: Any, pixels: np.ndarray, xla: bool) -> Callable[[], np.ndarray]:
    """The network to its last output, compiled, on an input that is there already."""
    import keras

    images = keras.ops.convert_to_tensor(pixels.astype(np.float32))
    take_all_bits()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        function = tf.function(lambda inputs: model(inputs, training=False), autograph=False, jit_compile=xla)
        return lambda: np.asarray(function(images))
    if backend == "jax":
        import jax

        def stateless(trained: list[Any], other: list[Any], inputs: Any) -> Any:
            return model.stateless_call(trained, other, inputs, training=False)[0]

        compiled = jax.jit(stateless)
        weights = [[one.value for one in some] for some in (model.trainable_variables, model.non_trainable_variables)]
        return lambda: np.asarray(compiled(*weights, images))
    import torch

    def call() -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = keras.ops.convert_to_numpy(model(images, training=False))
            return found

    return call


def matrix(dtype: str, side: int) -> Callable[[], object]:
    """A product of square matrices; what comes back is one number, so that it has been waited for."""
    import keras

    take_all_bits()
    one = keras.ops.cast(keras.ops.convert_to_tensor(np.random.default_rng(0).random((side, side), np.float32)), dtype)

    def call() -> object:
        return keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.matmul(one, one)[0, 0], "float32"))

    return call


def torch_by_hand(pixels: np.ndarray, rate: Callable[[Callable[[], object], float], float]) -> dict[str, Any]:
    """VGG16 with the averages of all layers, channels_last and compiled: images a second in float32 and bfloat16."""
    import torch
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc]  # PyTorch has no types here
        """Thirteen convolutions and three dense layers, each with its ReLU."""

        def __init__(self) -> None:
            super().__init__()
            widths = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
            before, self.blocks = 3, nn.ModuleList()
            for filters, count in widths:
                block = nn.ModuleList()
                for _ in range(count):
                    block.append(nn.Conv2d(before, filters, 3, padding=1))
                    before = filters
                self.blocks.append(block)
            self.dense = nn.ModuleList([nn.Linear(512 * (pixels.shape[1] // 32) ** 2, 4096), nn.Linear(4096, 4096)])
            self.last = nn.Linear(4096, 1000)

        def forward(self, images: Any) -> list[Any]:
            """(rows, 3, height, width) -> a row of each layer."""
            found = []
            for block in self.blocks:
                for convolution in block:
                    images = torch.relu(convolution(images))
                    found.append(images.mean(dim=(2, 3)))
                images = nn.functional.max_pool2d(images, 2)
            images = images.flatten(1)
            for layer in self.dense:
                images = torch.relu(layer(images))
                found.append(images)
            return [*found, self.last(images)]

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    found: dict[str, Any] = {"torch": torch.__version__, "device": name}
    for dtype in (torch.float32, torch.bfloat16):
        network = Network().eval().to(device, dtype, memory_format=torch.channels_last)
        compiled = torch.compile(network)

        def call(compiled: Any = compiled, dtype: Any = dtype) -> list[np.ndarray]:
            with torch.inference_mode():
                images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).to(dtype)
                images = images.contiguous(memory_format=torch.channels_last)
                return [values.float().cpu().numpy() for values in compiled(images)]

        found[f"{str(dtype).removeprefix('torch.')}_per_second"] = rate(call, len(pixels))
    return found
