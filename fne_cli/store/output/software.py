"""Which software made a file."""

from __future__ import annotations

import platform
from importlib import metadata

from fne_cli.version import __version__


def software(*packages: str) -> dict[str, str]:
    """Versions of fne, Python, NumPy, h5py and `packages`, by name; packages that are not installed are left out."""
    versions = {"fne": __version__, "python": platform.python_version()}
    for name in ("numpy", "h5py", *packages):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
