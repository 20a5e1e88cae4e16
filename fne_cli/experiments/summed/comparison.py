"""Every row of the table beside the first embedding of its protocol: how far apart they are, and whether by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fne_cli.experiments.plan import LAYERS
from fne_cli.store.other.results.tested import Right, same_images

_KEYS = (
    "compared_with", "difference", "difference_95", "right_here_only", "right_there_only", "mcnemar_p", "sign_p",
    "significant",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A row of the table, and which test images it has right."""

    row: dict[str, Any]
    right: Right | None


def compared(measured: Sequence[Measured], first: str) -> Iterator[dict[str, Any]]:
    """The rows of one protocol; those that can be say how they differ from the rows of the embedding `first`.

    Only rows of as many training images per class are compared.
    """
    standards = {_size(one.row): one for one in measured if one.row["embedding"] == first != LAYERS}
    for one in measured:
        standard = standards.get(_size(one.row))
        yield one.row if standard is None or standard is one else one.row | _differences(one, standard)


def without_comparison(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what depends on another one."""
    return {key: value for key, value in row.items() if key not in _KEYS}


def _size(row: Mapping[str, Any]) -> Any:
    return row.get("training_images_per_class")


def _differences(one: Measured, standard: Measured) -> dict[str, Any]:
    """The row less the standard; {} if their test images are not the same, or not known."""
    if one.right is None or standard.right is None or not same_images(one.right, standard.right):
        return {}
    from fne_cli.numerics.evaluation import paired  # brings SciPy, which a run that is up to date does without

    found = paired.compared(one.right.right, standard.right.right, one.right.of.truth)
    mcnemar, signs = (found.p, None) if found.only_first is not None else (None, found.p)
    values = (
        standard.row["embedding"], found.difference, [found.low, found.high], found.only_first, found.only_second,
        mcnemar, signs, found.significant,
    )  # fmt: skip
    return {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
