"""Whether the workers have the software of the one who asks: files that are to be merged must come from one set."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Mapping
from importlib import metadata

from fne_cli.errors import BadInput
from fne_cli.version import __version__

PACKAGES = (
    *("numpy", "h5py", "keras", "keras-hub", "tensorflow", "tensorflow-cpu", "jax", "torch", "onnxruntime"),
    *(
        "pillow",
        "pillow-heif",
        "numba",
        "scipy",
        "scikit-learn",
        "scikit-image",
        "opencv-python-headless",
        "opencv-python",
        "dask",
        "distributed",
    ),
)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of fne, Python and what computes and transports, by name; "" for what is not installed."""
    found = {"fne": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found | {"KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "")}


def check(expected: Mapping[str, str], found: Mapping[str, str], where: str) -> None:
    """Raises BadInput with a line for each difference between the client's versions and those found at `where`."""
    names = [name for name in {**expected, **found} if expected.get(name, "") != found.get(name, "")]
    if names:
        lines = [f"{name}: {found.get(name) or 'none'} there, {expected.get(name) or 'none'} here" for name in names]
        raise BadInput(
            f"The worker {where} should have the versions of this command. Found:\n  "
            + "\n  ".join(lines)
            + "\nInstall the same versions on both sides (pip freeze here, pip install -r there), then start it again."
        )
