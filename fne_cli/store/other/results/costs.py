"""What the rows of an experiment's table took, looked at before it is believed."""

from __future__ import annotations

from dataclasses import dataclass

from fne_cli.store.other.objects import Claim

_MOST = 1 << 12


@dataclass(frozen=True)
class Cost:
    """Of an embedding, or a tuning: seconds and joules of a training, seconds once before all; None if unknown.

    figure: its mean per-class accuracy. per_class: training images per class of a learning curve.
    """

    where: str
    name: str
    per_class: int | None
    figure: float | None
    seconds: float
    once: float | None
    joules: float | None


def read_costs(claim: Claim) -> list[Cost]:
    """Of the rows that say it, but for single layers and means over splits. Raises DamagedFile."""
    found = []
    for part in claim.parts("results"):
        seconds = part.number("seconds")
        name = part.text("embedding", "")
        if seconds is None or name == "layers" or "splits" in part.value:
            continue
        where = ", ".join(text for key in ("dataset", "network", "pooling", "protocol") if (text := part.text(key, "")))
        size = part.count("training_images_per_class") if "training_images_per_class" in part.value else None
        figure = part.share("mean_per_class_accuracy")
        found.append(Cost(where, name, size, figure, seconds, part.number("seconds_once"), part.number("joules")))
    return found[:_MOST]
