"""One compiled function from a batch of pixels to the pooled activations of every tapped layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.networks.pooling import Pooling
from fne_cli.networks.taps import Tap

if TYPE_CHECKING:
    from fne_cli.networks.weights import Network


class Extractor:
    """Calls the network. If memory gives out, the batch is halved for good, and `note` is told.

    `rows` is the number of rows of every batch that comes in; `used` is how many go through the network at once.
    Preprocessing, the network in inference mode and the pooling are one graph, traced once for one fixed shape.
    """

    def __init__(
        self,
        network: Network,
        taps: Sequence[Tap],
        poolings: Sequence[Pooling],
        rows: int,
        xla: bool = False,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        import keras

        self.rows = self.used = rows
        self._network = network
        self._model = keras.Model(
            network.model.inputs, [pool(tap.tensor) for tap, pool in zip(taps, poolings, strict=True)]
        )
        self._xla = xla
        self._note = note
        self._call = self._compiled(rows)

    def __call__(self, pixels: np.ndarray) -> list[Any]:
        """(rows, height, width, 3) uint8 -> one (rows, *row_shape) float32 array for each tap.

        On a GPU the arrays may still be under way: np.asarray waits for one.
        """
        while True:
            try:
                return self._in_parts(pixels)
            except Exception as error:
                if not _out_of_memory(error):
                    raise
                if self.used == 1:
                    raise DoesNotFit(
                        f"{self._network.name} does not fit into memory even with one row of "
                        f"{self._network.height} x {self._network.width}. Use fewer --layers or a smaller network."
                    ) from error
                self.used = -(-self.used // 2)
                self._note(
                    f"Out of memory: going on with {self.used} rows at once instead of {self.rows}. "
                    "The last bits of the activations may differ from those of a full batch."
                )
                self._call = self._compiled(self.used)

    def _in_parts(self, pixels: np.ndarray) -> list[Any]:
        if self.used == self.rows:
            return list(self._call(pixels))
        parts = []
        for start in range(0, self.rows, self.used):
            part = pixels[start : start + self.used]
            if len(part) < self.used:
                part = np.concatenate([part, np.zeros((self.used - len(part), *part.shape[1:]), part.dtype)])
            parts.append([np.asarray(values) for values in self._call(part)])
        return [np.concatenate(values)[: self.rows] for values in zip(*parts, strict=True)]

    def _compiled(self, rows: int) -> Callable[[np.ndarray], Any]:
        import keras
        from keras.applications.imagenet_utils import preprocess_input

        network, model = self._network, self._model

        def forward(pixels: Any) -> Any:
            images = keras.ops.cast(pixels, "float32")
            if network.preprocess != "none":
                images = preprocess_input(images, mode=network.preprocess, data_format="channels_last")
            return keras.tree.flatten(model(images, training=False))

        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            signature = [tf.TensorSpec((rows, network.height, network.width, 3), tf.uint8)]
            function = tf.function(forward, input_signature=signature, autograph=False, jit_compile=self._xla)
            return lambda pixels: function(tf.constant(pixels))
        if backend == "jax":
            import jax

            return jax.jit(forward)
        return _torch_function(forward)


def _torch_function(forward: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    import keras
    import torch

    def call(pixels: np.ndarray) -> Any:
        with torch.inference_mode():
            return [keras.ops.convert_to_numpy(values) for values in forward(keras.ops.convert_to_tensor(pixels))]

    return call


def _out_of_memory(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}"
    return isinstance(error, MemoryError) or "ResourceExhausted" in text or "RESOURCE_EXHAUSTED" in text


def device_name() -> str:
    """The accelerator the network runs on, or the processor's name."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            return str(tf.config.experimental.get_device_details(device).get("device_name", device.name))
    return processor_name()


def processor_name() -> str:
    """The processor's model name, as the kernel gives it."""
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
