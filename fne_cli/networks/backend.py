"""Loading Keras and its backend without the lines that TensorFlow's libraries print whatever the log level."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from typing import Any

_NOISE = re.compile(rb"absl::InitializeLog|oneDNN custom operations|cpu_feature_guard|rebuild TensorFlow|^\s*$")


def load_keras() -> Any:
    """Import keras. What else is printed to standard error meanwhile (missing CUDA libraries ...) is passed on."""
    if "keras" not in sys.modules:
        sys.stderr.flush()
        with tempfile.TemporaryFile() as log:
            terminal = os.dup(2)
            os.dup2(log.fileno(), 2)
            try:
                import keras  # imported for its effect, inside the redirection
            finally:
                os.dup2(terminal, 2)
                os.close(terminal)
                log.seek(0)
                for line in log:
                    if not _NOISE.search(line):
                        os.write(2, line)
    import keras

    return keras
