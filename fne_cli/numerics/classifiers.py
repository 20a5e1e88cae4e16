"""The classifiers that there are, and which options are whose."""

from __future__ import annotations

from typing import Literal

Classifier = Literal["svm", "ridge", "lda", "centroid"]

CLASSIFIERS: tuple[Classifier, ...] = ("svm", "ridge", "lda", "centroid")

OWNERS: dict[str, tuple[Classifier, ...]] = {
    "cost": ("svm",),
    "solver": ("svm",),
    "tolerance": ("svm",),
    "penalty": ("ridge",),
    "shrinkage": ("lda",),
}
"""The options that not all of them have, and who does."""

Recipe = Literal["published", "auto"]
RECIPES: tuple[Recipe, ...] = ("published", "auto")
"""Embedding, classifier and all its options together: the published ones, or chosen by the training images."""


def foreign(classifier: str) -> dict[str, str]:
    """The options that this one does not have, and whose they are."""
    return {option: " or ".join(owners) for option, owners in OWNERS.items() if classifier not in owners}
