"""onnxruntime: a graph made ready for batches of one size, on a GPU if it has one for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fne_cli.machine import processors
from fne_cli.networks.running.extractor import processor_name

_GPUS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider")
_CPU = "CPUExecutionProvider"


def on_gpu() -> str | None:
    """The provider of onnxruntime that computes on a GPU, if this installation has one."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    return next((name for name in _GPUS if name in available), None)


def device_name() -> str:
    """What it computes on."""
    return on_gpu() or processor_name()


def session(
    message: Any, weights: Mapping[str, np.ndarray], outputs: Sequence[str], pixels: str
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The function of a graph: what its input `pixels` is given -> its outputs. Raises what onnxruntime raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors()
    options.log_severity_level = 4  # errors come as exceptions
    options.use_deterministic_compute = True
    # Threads that wait for work should leave the processors to those that decode images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) for value in weights.values()]
    if values:
        options.add_external_initializers(list(weights), values)
    gpu = on_gpu()
    # Else "float32" would mean products of 10-bit mantissas on recent GPUs.
    providers = [(gpu, {"use_tf32": "0"} if gpu == _GPUS[0] else {}), _CPU] if gpu else [_CPU]
    made = onnxruntime.InferenceSession(message.SerializeToString(), options, providers=providers)
    names = list(outputs)

    def call(given: np.ndarray) -> list[np.ndarray]:
        return list(made.run(names, {pixels: given}))

    return call
