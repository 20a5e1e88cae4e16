"""What a worker does for an extraction: tell what the network makes, and extract one list of images to one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.slices import read_slice
from fne_cli.networks.recipe import Recipe
from fne_cli.progress import Progress
from fne_cli.steps.extract.local import extract_here
from fne_cli.steps.extract.options import RunOptions
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.steps.extract.sources import Source, open_anew
from fne_cli.store.output.record import plain, software


class _Warm:
    """The source that the last task of this process used; the next one mostly wants the same."""

    recipe: Recipe | None = None
    state: Any = None
    source: Source | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Source:
        """As open_anew."""
        files = [(os.stat(name).st_mtime_ns, os.stat(name).st_size) for name in recipe.files()]
        if cls.source is None or (cls.recipe, cls.state) != (recipe, files):
            cls.source = None
            cls.source = open_anew(recipe)
            cls.recipe, cls.state = recipe, files
        return cls.source


def outline(settings: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What the network makes: settings and layers as the file will have them, the software's versions, and notes.

    It is tried as well: what cannot be computed is said before there is a shard.
    """
    progress.detail("building the network")
    source = _Warm.of(Recipe.of_dict(settings["recipe"]))
    source.extractor(progress.note)
    made = {
        "settings": source.settings(),
        "layers": source.columns(),
        "software": software(*source.packages),
        "notes": source.notes(),
    }
    described: dict[str, Any] = plain(made)
    return described


def extract_shard(settings: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Extract the images of one list to one file, going on with what is there."""
    listing: Listing = read_slice(Path(settings["listing"]))
    part, options = settings.get("part"), RunOptions.of_plain(settings["options"])
    request = ExtractionRequest(
        listing, Path(settings["output"]), Recipe.of_dict(settings["recipe"]), options, part, settings.get("inputs")
    )
    done = extract_here(request, _Warm.of, progress.detail, progress=progress)
    bad = [] if part else done.bad
    return {"images": done.images, "bad": bad, "up_to_date": done.up_to_date, "seconds": done.seconds}
