"""A folder that remembers rows of numbers: a small file for each, by what it was computed from.

Anybody may have written there. A file that is not a row with the digest that it says, of the right length, counts for
nothing, and the row is computed again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput

_DIGEST = 32  # bytes


class RememberedRows:
    """Rows of `width` float32 in `folder`, each by a name of letters and digits. Raises BadInput if there is none."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder, self.width = folder, width
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{folder} should be a folder to remember rows in. Found: {error.strerror}.") from error

    def get(self, name: str) -> np.ndarray | None:
        """The row (width,), None if it is not known."""
        path = self._path(name)
        try:
            if not path.is_file() or path.stat().st_size != _DIGEST + 4 * self.width:
                return None
            content = path.read_bytes()
        except OSError:
            return None
        head, body = content[:_DIGEST], content[_DIGEST:]
        if len(body) != 4 * self.width or head != hashlib.sha256(body).digest():
            return None
        return np.frombuffer(body, "<f4").astype(np.float32)

    def put(self, name: str, row: np.ndarray) -> None:
        """Remember a row (width,): whoever reads meanwhile sees it whole, or not at all. A full disk is no error."""
        path = self._path(name)
        body = np.ascontiguousarray(row, "<f4").tobytes()
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(body).digest() + body)
                os.replace(scratch, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(scratch)
                raise

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name
