"""Loading Keras and its backend without the lines that TensorFlow's libraries print whatever the log level."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from typing import Any

from fne_cli.errors import BadInput

_BACKENDS = ("tensorflow", "jax", "torch")
_OFF = ("0", "false")
_NOISE = re.compile(rb"absl::InitializeLog|oneDNN custom operations|cpu_feature_guard|rebuild TensorFlow|^\s*$")
_NO_GPU = re.compile(rb"Could not find cuda drivers")  # news only where there is a GPU


def load_keras() -> Any:
    """Import keras. What else is printed to standard error meanwhile (missing CUDA libraries ...) is passed on.

    Raises BadInput if Keras's backend is missing, or one that the extraction is not written for.
    """
    try:
        if "keras" not in sys.modules:
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


def lacks_onednn() -> bool:
    """Whether TensorFlow computes on a processor and was told to do without oneDNN.

    Its other convolutions give an image other last bits at another place of the batch.
    """
    keras = load_keras()
    if keras.backend.backend() != "tensorflow" or os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() not in _OFF:
        return False
    import tensorflow

    return not tensorflow.config.list_physical_devices("GPU")


def _import_quietly() -> None:
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        terminal = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            import keras  # noqa: F401  # imported for its effect, inside the redirection
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log:
                if not (_NOISE.search(line) or (_NO_GPU.search(line) and not os.path.exists("/dev/nvidiactl"))):
                    os.write(2, line)
