"""The classifiers that there are, and which options are whose."""

from __future__ import annotations

import re
from typing import Literal, cast

from fne_cli.errors import WrongOptions

Classifier = Literal["svm", "ridge", "lda", "knn", "centroid"]

CLASSIFIERS: tuple[Classifier, ...] = ("svm", "ridge", "lda", "knn", "centroid")

OWNERS: dict[str, tuple[Classifier, ...]] = {
    "cost": ("svm",),
    "solver": ("svm",),
    "tolerance": ("svm",),
    "penalty": ("ridge",),
    "shrinkage": ("lda",),
    "temperature": ("knn",),
}
"""The options that not all of them have, and who does."""

Recipe = Literal["published", "auto"]
RECIPES: tuple[Recipe, ...] = ("published", "auto")
"""Embedding, classifier and all its options together: the published ones, or chosen by the training images."""

NEIGHBOURS = 20
"""How many vote if nobody says."""
_NEIGHBOURS = re.compile(r"knn(?::([1-9]\d{0,5}))?")


def spelled(text: str) -> str:
    """A classifier in the one way in which it is written: of nearest neighbours with their number, knn:20.

    Raises WrongOptions if there is none of that name.
    """
    if match := _NEIGHBOURS.fullmatch(text):
        return f"knn:{match[1] or NEIGHBOURS}"
    if text not in CLASSIFIERS:
        names = ", ".join(name for name in CLASSIFIERS if name != "knn")
        raise WrongOptions(f"--classifier should be {names} or knn:NUMBER, such as knn:{NEIGHBOURS}. Found: {text}.")
    return text


def kind_of(classifier: str) -> Classifier:
    """The name of it without the number of neighbours."""
    return cast("Classifier", classifier.partition(":")[0])


def neighbours_of(classifier: str) -> int:
    """How many neighbours vote, of one that is spelled out."""
    return int(classifier.partition(":")[2] or NEIGHBOURS)


def foreign(classifier: str) -> dict[str, str]:
    """The options that this one does not have, and whose they are."""
    kind = kind_of(classifier)
    return {option: " or ".join(owners) for option, owners in OWNERS.items() if kind not in owners}
