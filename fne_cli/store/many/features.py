"""What makes features what they are, so that rows of other images may be compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fne_cli.store.format.schema import without_shard


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a feature what it is. Batches change last bits only, and new images come in other numbers."""
    own = {name: value for name, value in without_shard(settings).items() if name not in ("batch_rows", "xla")}
    if isinstance(own.get("activations"), dict):
        own["activations"] = comparable(own["activations"])
    return own


def moments_of(sources: Sequence[Any]) -> dict[str, Any]:
    """Which moments codes or z-scores were made with."""
    found = [part for part in sources if isinstance(part, dict) and part.get("kind") == "moments"]
    return {"moments": found[0].get("fingerprint") if found else None}
