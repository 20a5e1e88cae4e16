"""What the recipe `auto` chooses among."""

from __future__ import annotations

FEWEST = 50
"""Training images that can tell candidates apart."""
CAUTIOUS = "z,power:0.25,aligned:1"
"""For fewer: near to the published codes, which are all of one size, too."""
LATE = "unit,equal,aligned:2,depth:1"
"""For as many, of which every class has one."""
PRIOR_PENALTY = 0.3
"""Of both."""
ROOTS = "root,unit", "z,root"
"""The families of embeddings that another one, with large values as they are, has to beat by more than chance."""
CANDIDATES = (
    "root,unit,equal,depth:1",
    "z,depth:2",
    "z,root,equal,aligned:2",
    "root,unit,equal,aligned:1,depth:1",
    "z",
    "root,unit,equal,depth:2",
    "z,root,equal,depth:1",
    "root,unit,equal,aligned:2",
    "z,root,equal",
    "z,root,equal,depth:2",
    "z,root,equal,aligned:1",
    "z,depth:1",
    "root,unit,equal",
    "z,root",
)
"""Embeddings, those first that win most often: the budget may end before the list does."""
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""In units of the mean diagonal of the kernel."""
FOLDS = 3
"""Parts of the training images, for each of which weights are learnt from the labels of the others."""
BUDGET = 600.0
"""Seconds that choosing may take, if nobody says otherwise."""


def fits_of(name: str) -> int:
    """How many decompositions a candidate takes."""
    return FOLDS if "aligned" in name else 1
