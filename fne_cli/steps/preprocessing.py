"""How images can be prepared for a network, as `fne extract --preprocess` takes it."""

from __future__ import annotations

from fne_cli.networks.preprocessing import NAMED, spelled

__all__ = ["NAMED", "spelled"]
