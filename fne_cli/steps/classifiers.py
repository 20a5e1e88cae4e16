"""The classifiers by name, for whoever offers a choice of them."""

from __future__ import annotations

from fne_cli.numerics.classifiers import CLASSIFIERS, spelled

__all__ = ["CLASSIFIERS", "spelled"]
