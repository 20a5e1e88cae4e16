"""The classifiers that there are."""

from __future__ import annotations

from typing import Literal

Classifier = Literal["svm", "ridge"]

OWN: dict[Classifier, tuple[str, ...]] = {"svm": ("cost", "solver", "tolerance"), "ridge": ("penalty",)}
"""The options that only one of them has."""


def foreign(classifier: str) -> dict[str, Classifier]:
    """The options that this one does not have, and whose they are."""
    return {option: other for other, options in OWN.items() if other != classifier for option in options}
