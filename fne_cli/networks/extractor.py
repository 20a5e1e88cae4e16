"""One compiled function from a batch of pixels to the pooled activations of every tapped layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit, FneError, is_of_memory
from fne_cli.machine import free_memory
from fne_cli.networks import graph
from fne_cli.networks.backend import accelerators, computes_here, lacks_onednn
from fne_cli.networks.pooling import Pooling
from fne_cli.networks.preprocessing import prepare
from fne_cli.networks.saved.files import brief
from fne_cli.networks.steady import steady_rows
from fne_cli.networks.taps import Tap

if TYPE_CHECKING:
    import keras

    from fne_cli.networks.weights import Network


class Extractor:
    """Calls the network. If memory gives out, the batch is halved for good, and `note` is told.

    `rows` is the number of rows of every batch that comes in; `used` is how many go through the network at once;
    `competes` says that it computes on processors.
    Preprocessing, the network in inference mode and the pooling are one graph, traced once for one fixed shape. A
    network from a file is tried on a black batch first: raises BadInput if it cannot be computed.
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
        self.competes = not accelerators()
        self._network = network
        # The pooling is no part of the model: the names of its operations would meet those of the network's.
        self._model = keras.Model(network.model.inputs, [tap.tensor for tap in taps])
        self._taps, self._poolings = taps, poolings
        self._xla = xla
        self.note = note
        self._padded = rows
        self._call: Callable[[np.ndarray], Any] | None = None
        self._ready()

    def __call__(self, pixels: np.ndarray) -> list[Any]:
        """(rows, height, width, 3) uint8 -> one (rows, *row_shape) float32 array for each tap.

        On a GPU the arrays may still be under way: np.asarray waits for one.
        """
        while True:
            call = self._ready()
            try:
                return self._in_parts(call, pixels)
            except Exception as error:
                self._halve(error)

    def _ready(self) -> Callable[[np.ndarray], Any]:
        """The compiled function for `used` rows; compiling takes memory, too."""
        while self._call is None:
            try:
                call, self._padded = self._sized(self.used)
                if self._network.from_file:
                    self._try(call)
                self._call = call
            except Exception as error:
                if self._network.from_file and not (is_of_memory(error) or isinstance(error, FneError)):
                    raise BadInput(f"{self._network.name} cannot be computed here: {brief(error)}") from error
                self._halve(error)
        return self._call

    def _try(self, call: Callable[[np.ndarray], Any]) -> None:
        computed = call(np.zeros((self._padded, self._network.height, self._network.width, 3), np.uint8))
        for tap, pool, values in zip(self._taps, self._poolings, computed, strict=True):
            wanted = (self._padded, *pool.row_shape(tap.shape))
            if tuple(values.shape) != wanted:
                raise BadInput(
                    f"{self._network.name} should give a row for each image. Found: {tap.layer}, of shape "
                    f"{tuple(values.shape)} for {self._padded} images instead of {wanted}."
                )

    def _halve(self, error: Exception) -> None:
        """Go on with half the rows if memory is what was missing, else raise the error."""
        if not is_of_memory(error):
            raise error
        if self.used == 1:
            raise DoesNotFit(
                f"{self._network.name} does not fit into memory even with one row of "
                f"{self._network.height} x {self._network.width}. Use fewer --layers or a smaller network."
            ) from error
        self.used = -(-self.used // 2)
        self.note(
            f"Out of memory: going on with {self.used} rows at once instead of {self.rows}. "
            "The last bits of the activations may differ from those of a full batch."
        )
        self._call = None

    def _in_parts(self, call: Callable[[np.ndarray], Any], pixels: np.ndarray) -> list[Any]:
        if self.used == self._padded == self.rows:
            return list(call(pixels))
        parts = []
        for start in range(0, self.rows, self.used):
            part = pixels[start : start + self.used]
            blank = np.zeros((self._padded - len(part), *part.shape[1:]), part.dtype)
            computed = call(np.concatenate([part, blank]))
            parts.append([np.asarray(values)[: len(part)] for values in computed])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _sized(self, rows: int) -> tuple[Callable[[np.ndarray], Any], int]:
        """The compiled function for at least `rows` rows, and how many it takes."""
        import keras

        # Linux promises memory that it does not have, and kills who uses it. A GPU refuses.
        if rows > 1 and computes_here() and rows * _largest(self._model) > free_memory():
            raise MemoryError(f"{rows} rows of the largest layer")
        dtype = self._network.precision

        def product(left: np.ndarray, kernel: Any) -> Any:
            values = keras.ops.matmul(keras.ops.cast(left, dtype), keras.ops.cast(kernel, dtype))
            return keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))

        steady = steady_rows(self._model, rows, product)
        depends = "may depend on an image's neighbours, and merged shards may differ in them from a whole run."
        if steady is None:
            self.note(
                f"The matrix products of this machine treat some of {rows} rows differently: the last bits of dense "
                f"layers {depends}"
            )
        if lacks_onednn():
            self.note(f"TF_ENABLE_ONEDNN_OPTS is off: the last bits of convolutions {depends} Better unset it.")
        return self._compiled(steady or rows), steady or rows

    def _compiled(self, rows: int) -> Callable[[np.ndarray], Any]:
        import keras

        network, model = self._network, self._model
        prepared = partial(prepare, preprocess=network.preprocess, takes=network.takes)

        def pooled(outputs: Any) -> list[Any]:
            columns = zip(self._taps, self._poolings, keras.tree.flatten(outputs), strict=True)
            return [pool(tap.channels_last(values)) for tap, pool, values in columns]

        def forward(pixels: Any) -> Any:
            return pooled(model(prepared(pixels), training=False))

        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            # On recent GPUs "float32" would otherwise mean products of 10-bit mantissas.
            tf.config.experimental.enable_tensor_float_32_execution(False)
            signature = [tf.TensorSpec((rows, network.height, network.width, 3), tf.uint8)]
            function = tf.function(forward, input_signature=signature, autograph=False, jit_compile=self._xla)
            return lambda pixels: function(tf.constant(pixels))
        if backend == "jax":
            import jax

            def stateless(trained: list[Any], other: list[Any], pixels: Any) -> Any:
                outputs, _ = model.stateless_call(trained, other, prepared(pixels), training=False)
                return pooled(outputs)

            # The weights are arguments because JAX would compile them into the program as constants.
            trained, other = model.trainable_variables, model.non_trainable_variables
            values = ([variable.value for variable in variables] for variables in (trained, other))
            return partial(jax.jit(stateless), *values)
        return _torch_function(forward)


def _torch_function(forward: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    import keras
    import torch

    def call(pixels: np.ndarray) -> Any:
        with torch.inference_mode():
            return [keras.ops.convert_to_numpy(values) for values in forward(keras.ops.convert_to_tensor(pixels))]

    return call


def _largest(model: keras.Model) -> int:
    """Bytes of the largest tensor between two layers, for one row of float32."""
    tensors = [tensor for call in graph.calls(model) for tensor in call.output_tensors]
    return max(4 * math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)


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
