"""What a network computes in, where that is left open: chosen once for an output, kept by all that goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import FneError
from fne_cli.images.pixels.bad import Status
from fne_cli.networks.recipe import Recipe
from fne_cli.steps.extract.options import OPEN
from fne_cli.store.format.reader import open_file
from fne_cli.store.output import aside
from fne_cli.store.output.partial import Output
from fne_cli.store.output.resume import unfinished

CANDIDATES = ("float32", "bfloat16", "float16")


def kept(recipe: Recipe, output: Output, inputs: Mapping[str, Any], overwrite: bool, plan: Mapping[str, Any]) -> Recipe:
    """The recipe; if it leaves the precision open, in that of the output, or of unfinished work for it.

    inputs: what is asked for; unfinished work for something else does not count. plan: that of the shards there, {} if
    there are none.
    """
    if recipe.precision != OPEN:
        return recipe
    found = None
    if not overwrite and output.path.exists():
        found = _of_file(output.path)
    if found is None and output.resumable:
        with suppress(FneError):
            if output.read_journal()["inputs"].get("request") == inputs["request"]:
                with unfinished(output) as file:
                    found = file.settings.get("precision")
    if found is None and plan and plan["inputs"].get("request") == inputs["request"]:
        settings = plan["outline"].get("settings")
        found = settings.get("precision") if isinstance(settings, dict) else None
    if found is None and not overwrite and (work := aside.find(output.path)) is not None:
        found = _of_file(work.path)
    return replace(recipe, precision=found) if found in CANDIDATES else recipe


def _of_file(path: Path) -> Any:
    with suppress(FneError), open_file(path, "activations") as file:
        return file.settings.get("precision")
    return None


def settled(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe in the precision that its source has."""
    return replace(recipe, precision=settings["precision"])


def without_precision(recipe: Recipe) -> dict[str, Any]:
    """What the recipe alone says of a file's settings."""
    known = recipe.stored()
    if recipe.precision == OPEN:
        del known["precision"]
    return known


def mending(recipe: Recipe, status: np.ndarray) -> str:
    """What to do about bad images: those that a network has no finite numbers for are no worse than others."""
    infinite = status == Status.NOT_FINITE
    lines = [] if infinite.all() else ["Or mend the images and add --retry-bad."]
    if infinite.any():
        wider = [
            option
            for option, chosen in (("--dtype float32", recipe.dtype), ("--precision float32", recipe.precision))
            if chosen == "float16"
        ]
        lines.append(
            f"Or take numbers that go further: {' '.join(wider)}, with --overwrite."
            if wider
            else "A network that gives numbers that are not finite may be damaged, or want another --preprocess."
        )
    return "\n".join(lines)
