"""fne: full-network embeddings from the command line, and the same steps from Python (docs/library.md)."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from fne_cli.version import __version__ as __version__

if TYPE_CHECKING:
    from fne_cli.errors import FneError
    from fne_cli.numerics.svm.classifier import LinearSVC
    from fne_cli.numerics.transformer import TernaryEmbedding
    from fne_cli.progress import Progress
    from fne_cli.steps.analyze import analyze
    from fne_cli.steps.discretize import discretize
    from fne_cli.steps.evaluate import ClassifierOptions, FeatureOptions, Protocol, evaluate
    from fne_cli.steps.export import export
    from fne_cli.steps.extract import Recipe, RunOptions, extract
    from fne_cli.steps.merge import merge
    from fne_cli.steps.normalize import normalize
    from fne_cli.steps.predict import predict
    from fne_cli.steps.rank import rank
    from fne_cli.steps.reduce import ReductionOptions, reduce
    from fne_cli.steps.split import split
    from fne_cli.steps.verify import verify
    from fne_cli.store.format.reader import open_file
    from fne_cli.transformer import FullNetworkEmbedding

# TensorFlow reads this when it is first imported. oneDNN is its default on Intel's newer processors only; elsewhere
# (AMD) convolutions take up to twice as long without it, and its numbers should not depend on the vendor.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Where each name comes from. It is imported when somebody asks for it: the command line does without most of it.
_FACE = {
    "ClassifierOptions": "steps.evaluate",
    "FeatureOptions": "steps.evaluate",
    "FneError": "errors",
    "FullNetworkEmbedding": "transformer",
    "LinearSVC": "numerics.svm.classifier",
    "Progress": "progress",
    "Protocol": "steps.evaluate",
    "Recipe": "steps.extract",
    "ReductionOptions": "steps.reduce",
    "RunOptions": "steps.extract",
    "TernaryEmbedding": "numerics.transformer",
    "analyze": "steps.analyze",
    "discretize": "steps.discretize",
    "evaluate": "steps.evaluate",
    "export": "steps.export",
    "extract": "steps.extract",
    "merge": "steps.merge",
    "normalize": "steps.normalize",
    "open_file": "store.format.reader",
    "predict": "steps.predict",
    "rank": "steps.rank",
    "reduce": "steps.reduce",
    "split": "steps.split",
    "verify": "steps.verify",
}

__all__ = [
    "ClassifierOptions",
    "FeatureOptions",
    "FneError",
    "FullNetworkEmbedding",
    "LinearSVC",
    "Progress",
    "Protocol",
    "Recipe",
    "ReductionOptions",
    "RunOptions",
    "TernaryEmbedding",
    "__version__",
    "analyze",
    "discretize",
    "evaluate",
    "export",
    "extract",
    "merge",
    "normalize",
    "open_file",
    "predict",
    "rank",
    "reduce",
    "split",
    "verify",
]


def __getattr__(name: str) -> Any:
    """A name of the library's face, imported now."""
    if name in _FACE:
        value = getattr(importlib.import_module(f"fne_cli.{_FACE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
