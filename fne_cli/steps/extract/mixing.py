"""Whether rows of an existing file may stand beside new ones, and whether it may be given up for a new one."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import DifferentOutput
from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import Images, differences
from fne_cli.store.many.known import identities


def comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what depends on the images: of a shard, how many images are in how many shards' listing."""
    shard = settings.get("shard")
    if not isinstance(shard, Mapping):
        return dict(settings)
    return {**settings, "shard": {name: value for name, value in shard.items() if name not in ("images", "listing")}}


def check_software(
    file: Reader, versions: Mapping[str, str], wanted: set[tuple[str, str]] | None, reuse: Sequence[Path]
) -> None:
    """Raises DifferentOutput if rows by other software would stand beside those of `file`, unless it is in `reuse`.

    wanted: the images' `identities`. If the file has all of them nothing is computed, and that is no problem.
    """
    apart = differences(_computing(versions), _computing(file.software), ("there", "here"))
    named = any(os.path.exists(name) and file.path.samefile(name) for name in reuse)
    if apart and not named and (wanted is None or not wanted.issubset(_good(file.images))):
        raise DifferentOutput(
            f"{file.path} was computed by other software, whose last bits may differ:\n  "
            + "\n  ".join(apart)
            + f"\nGive --reuse {file.path} to keep its rows beside new ones all the same, or --overwrite to compute "
            "all images."
        )


def _computing(versions: Mapping[str, str]) -> dict[str, str]:
    """The software that rows depend on."""
    return {name: version for name, version in versions.items() if name not in ("fne", "python", "numpy", "h5py")}


def _good(images: Images) -> list[tuple[str, str]]:
    """The `identities` of the images that have rows."""
    known = zip(identities(images.sha256, images.path), images.good.tolist(), strict=True)
    return [image for image, good in known if good]


def check_loss(
    path: Path, old: Images, wanted: set[tuple[str, str]], count: int, elsewhere: Container[str] = ()
) -> None:
    """Raises DifferentOutput if less than half of the images of an output are still there: that may be a mistake.

    wanted: the `identities` of the `count` images of now. elsewhere: the ids that other shards may have now.
    """
    known = list(zip(_good(old), (name for name, good in zip(old.path, old.good, strict=True) if good), strict=True))
    kept = sum(image in wanted or name in elsewhere for image, name in known)
    if 2 * kept < len(known):
        raise other_images(path, f"{kept:,}", len(known), count)


def other_images(path: Path, kept: str, known: int, count: int) -> DifferentOutput:
    """The error for an output of `known` images, of which `kept` are among the `count` that it is to be made from."""
    return DifferentOutput(
        f"{path} exists and is of other images: {kept} of its {known:,} are among the {count:,} of now.\n"
        f"Write to another output, or give --overwrite to replace it, with --reuse {path} to keep what is known."
    )
