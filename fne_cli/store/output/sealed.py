"""JSON that says of itself whether it is as it was written: a digest of all its other entries stands at its end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fne_cli.store.format.text import canonical_json

DIGEST = "digest"


def with_digest(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its digest."""
    return {**without_digest(document), DIGEST: _digest(document)}


def without_digest(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without it."""
    return {key: value for key, value in document.items() if key != DIGEST}


def is_intact(document: Mapping[str, Any]) -> bool:
    """Whether a document has a digest, and it fits."""
    return DIGEST in document and document[DIGEST] == _digest(document)


def _digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, which is the same however the text is laid out."""
    return hashlib.sha256(canonical_json(without_digest(document)).encode("utf-8", "backslashreplace")).hexdigest()
