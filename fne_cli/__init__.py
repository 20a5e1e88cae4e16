"""fne: full-network embeddings from the command line."""

import os

__version__ = "0.1.0"

# TensorFlow reads this when it is first imported. oneDNN is its default on Intel's newer processors only; elsewhere
# (AMD) convolutions take up to twice as long without it, and its numbers should not depend on the vendor.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
