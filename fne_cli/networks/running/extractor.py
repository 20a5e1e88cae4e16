"""One compiled function from a batch of pixels to the pooled activations of every tapped layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fne_cli.machine import free_memory
from fne_cli.networks import graph
from fne_cli.networks.backend import accelerators, computes_here, lacks_onednn, take_all_bits
from fne_cli.networks.preprocessing import prepare
from fne_cli.networks.running.batching import Batching
from fne_cli.networks.running.steady import steady_rows
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.tapping.taps import Tap

if TYPE_CHECKING:
    import keras

    from fne_cli.networks.weights import Network


class Extractor(Batching):
    """Calls a Keras network. Preprocessing, the network in inference mode and the pooling are one graph."""

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

        self.competes = not accelerators()
        self._network = network
        # The pooling is no part of the model: the names of its operations would meet those of the network's.
        self._model = keras.Model(network.model.inputs, [tap.tensor for tap in taps])
        self._taps, self._poolings = taps, poolings
        self._xla = xla
        shapes = [pool.row_shape(tap.shape) for tap, pool in zip(taps, poolings, strict=True)]
        outputs = list(zip([tap.layer for tap in taps], shapes, strict=True))
        super().__init__(network.name, (network.height, network.width), outputs, rows, note, network.from_file)

    def _sized(self, rows: int) -> tuple[Callable[[np.ndarray], Any], int]:
        """The compiled function for at least `rows` rows, and how many it takes."""
        import keras

        # Linux promises memory that it does not have, and kills who uses it. A GPU refuses.
        if rows > 1 and computes_here() and rows * _largest(self._model) > free_memory():
            raise MemoryError(f"{rows} rows of the largest layer")
        if self._network.patches is not None:  # attention has products of kinds that are not tried one by one
            return self._in_order(self._compiled, rows, computes_here()), rows
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
            return [pool(tap.channels_last(values), tap.tokens) for tap, pool, values in columns]

        def forward(pixels: Any) -> Any:
            return pooled(model(prepared(pixels), training=False))

        take_all_bits()
        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

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
            function = partial(jax.jit(stateless), *values)
            # JAX computes while others go on, and says later that memory is short. What has been computed once fits.
            waiting = iter([jax.block_until_ready])
            return lambda pixels: next(waiting, list)(function(pixels))
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
    return next(iter(accelerators()), None) or processor_name()


def processor_name() -> str:
    """The processor's model name, as the kernel gives it."""
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
