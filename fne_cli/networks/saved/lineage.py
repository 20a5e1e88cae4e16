"""What a network that was trained here says of itself: a member of its .keras file, beside Keras's own three.

Anybody may have written it. It is read as text of a bounded size, and believed in nothing that matters for safety.
"""

from __future__ import annotations

import json
import zipfile
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.networks.preprocessing import spelled

MEMBER = "lineage.json"
_BYTES = 16 << 20


def lineage_of(path: str) -> dict[str, Any] | None:
    """The lineage of the network at `path`; None if it has none, or is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(MEMBER).file_size > _BYTES:
                return None
            found = json.loads(archive.read(MEMBER))
    except (OSError, KeyError, ValueError, RecursionError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return None
    known = isinstance(found, dict) and (found.get("format"), found.get("kind")) == ("fne", "network")
    return found if known else None


def preprocess_of(path: str) -> str | None:
    """How the images are to be prepared, by the lineage of the network at `path`; None if it does not say."""
    found = (lineage_of(path) or {}).get("preprocess")
    if not isinstance(found, str):
        return None
    try:
        return spelled(found)
    except BadInput:
        return None
