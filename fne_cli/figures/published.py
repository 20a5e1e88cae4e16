"""The numbers of Yosinski et al., "How transferable are features in deep neural networks?", NIPS 2014.

Top-1 accuracy on halves of ImageNet, means of the ten best tests of a training, by the number of copied layers of a
network of eight; 0 is the base network.
"""

from __future__ import annotations

from collections.abc import Mapping

NAME = "Yosinski et al. 2014, ImageNet"

ACCURACIES: Mapping[str, Mapping[int, float]] = {
    "base": {0: 0.6251},
    "BnB": dict(enumerate((0.6267, 0.6236, 0.6211, 0.6048, 0.5935, 0.6188, 0.6233), 1)),
    "AnB": dict(enumerate((0.6282, 0.6239, 0.6189, 0.5998, 0.5780, 0.5806, 0.5425), 1)),
    "BnB+": dict(enumerate((0.6177, 0.6215, 0.6313, 0.6287, 0.6301, 0.6276, 0.6266), 1)),
    "AnB+": dict(enumerate((0.6373, 0.6358, 0.6426, 0.6399, 0.6446, 0.6460, 0.6465), 1)),
    "random": dict(enumerate((0.4917, 0.4026, 0.0011, 0.0191, 0.0499, 0.0145, 0.0146), 1)),
}
"""Halves of the classes at random."""


def differences() -> dict[str, dict[int, float]]:
    """The measures of fne transfer, from these numbers."""
    base = ACCURACIES["base"][0]
    pairs = {
        "co-adaptation": (None, "BnB"),
        "specificity": ("BnB", "AnB"),
        "transfer gain": ("AnB+", "BnB+"),
        "random features": (None, "random"),
    }
    return {
        measure: {
            copied: (base if first is None else ACCURACIES[first][copied]) - ACCURACIES[second][copied]
            for copied in ACCURACIES[second]
        }
        for measure, (first, second) in pairs.items()
    }
