"""Loading Keras and its backend without the lines that TensorFlow's libraries print whatever the log level."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import tempfile
from contextlib import suppress
from typing import Any

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.imports import lean

_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax", "jaxlib"), "torch": ("torch",)}
_OFF = ("0", "false")
# What Keras and TensorFlow import if it is there: for wrappers, data frames, pictures and converters that are not used
# here. With all of it installed, as for the tests, that is half of what their import takes.
_UNWANTED = ("sklearn", "pandas", "matplotlib")
_ADDRESSES = 3500 << 20
_NOISE = re.compile(rb"absl::InitializeLog|oneDNN custom operations|cpu_feature_guard|rebuild TensorFlow|^\s*$")
_NO_GPU = re.compile(rb"Could not find cuda drivers")  # news only where there is a GPU


def load_keras() -> Any:
    """Import keras. What else is printed to standard error meanwhile (missing CUDA libraries ...) is passed on.

    Raises BadInput if Keras's backend is missing, or one that the extraction is not written for, DoesNotFit if this
    process is limited to less address space than any network takes.
    """
    try:
        if "keras" not in sys.modules:
            _check_address_space()
            _import_quietly()
        import keras

        backend = keras.backend.backend()
    except (ImportError, ValueError) as error:
        raise BadInput(
            f"Keras should find its backend. Found: {error}.\nInstall it, or set KERAS_BACKEND=tensorflow."
        ) from error
    if backend not in _BACKENDS:
        raise BadInput(f"KERAS_BACKEND should be one of {', '.join(_BACKENDS)}. Found: {backend}.")
    # A user's keras.json may say otherwise; maps here are (height, width, channels), weights float32.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    return keras


def forget() -> None:
    """Have Keras count the names of unnamed layers from the beginning, as in a new process."""
    load_keras().utils.clear_session()


def packages() -> tuple[str, ...]:
    """The packages that may have what Keras computes with."""
    return _BACKENDS[load_keras().backend.backend()]


def computes_here() -> bool:
    """Whether networks compute on a processor."""
    return not accelerators()


def take_all_bits() -> None:
    """Have products of float32 take all its bits: on recent GPUs they would be of 10-bit mantissas otherwise."""
    match load_keras().backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tf.config.experimental.enable_tensor_float_32_execution(False)
        case "jax":
            import jax

            jax.config.update("jax_default_matmul_precision", "highest")
        case _:
            import torch

            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def accelerators() -> list[str]:
    """The names of those that networks compute on; of TensorFlow and PyTorch GPUs, of JAX whatever is no processor."""
    match load_keras().backend.backend():
        case "tensorflow":
            import tensorflow as tf

            details = [
                (device, tf.config.experimental.get_device_details(device))
                for device in tf.config.list_physical_devices("GPU")
            ]
            return [str(known.get("device_name", device.name)) for device, known in details]
        case "jax":
            import jax

            return [str(device.device_kind) for device in jax.devices() if device.platform != "cpu"]
        case _:
            import torch

            return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def lacks_onednn() -> bool:
    """Whether TensorFlow computes on a processor and was told to do without oneDNN.

    Its other convolutions give an image other last bits at another place of the batch.
    """
    is_tensorflow = load_keras().backend.backend() == "tensorflow"
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in _OFF and is_tensorflow and computes_here()


def _check_address_space() -> None:
    """Raises DoesNotFit if this process may have less of it than the smallest network took (docs/faq.md).

    TensorFlow asks for threads and never expects a refusal: it ends the process, or tries for ever.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _ADDRESSES:
        raise DoesNotFit(
            f"Networks should have at least {_ADDRESSES >> 20:,} MiB of addresses, whatever they use of them. "
            f"Found: a limit of {limit >> 20:,} (ulimit -v).\nulimit -v unlimited, and limit memory by a control group."
        )


def _asked_backend() -> str:
    """The backend that Keras will take, as Keras finds it: the variable, or its file, or TensorFlow."""
    if asked := os.environ.get("KERAS_BACKEND"):
        return asked
    user = os.path.expanduser("~")
    home = os.environ.get("KERAS_HOME", os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras"))  # noqa: S108
    try:
        with open(os.path.join(home, "keras.json"), encoding="utf-8") as file:
            return str(json.load(file).get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def _import_quietly() -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        terminal = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            with lean((*_UNWANTED, "jax") if _asked_backend() == "tensorflow" else _UNWANTED):
                import keras  # noqa: F401  # imported for its effect, inside the redirection
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log:
                if not (_NOISE.search(line) or (_NO_GPU.search(line) and not os.path.exists("/dev/nvidiactl"))):
                    os.write(2, line)
