"""fne: full-network embeddings from the command line."""

from __future__ import annotations

import os
from typing import Any

from fne_cli.version import __version__ as __version__

# TensorFlow reads this when it is first imported. oneDNN is its default on Intel's newer processors only; elsewhere
# (AMD) convolutions take up to twice as long without it, and its numbers should not depend on the vendor.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def __getattr__(name: str) -> Any:
    """FullNetworkEmbedding, imported only when somebody asks: the command line does without scikit-learn."""
    if name == "FullNetworkEmbedding":
        from fne_cli.embedding import FullNetworkEmbedding

        return FullNetworkEmbedding
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
