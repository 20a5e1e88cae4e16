"""What a worker does for an extraction: tell what the network makes, and extract one list of images to one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fne_cli.images.listing import Listing
from fne_cli.images.slices import read_slice
from fne_cli.networks.backend import forget
from fne_cli.networks.recipe import Prepared, Recipe
from fne_cli.progress import Progress
from fne_cli.steps.extract import SOFTWARE, extract_job
from fne_cli.steps.extract.job import Job
from fne_cli.store.output.record import plain, software


class _Warm:
    """The network that the last task of this process used; the next one mostly wants the same."""

    recipe: Recipe | None = None
    state: Any = None
    prepared: Prepared | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Prepared:
        """As Prepared.of."""
        files = [(os.stat(name).st_mtime_ns, os.stat(name).st_size) for name in _files(recipe)]
        if cls.prepared is None or (cls.recipe, cls.state) != (recipe, files):
            cls.prepared = None
            forget()
            cls.prepared = Prepared.of(recipe)
            cls.recipe, cls.state = recipe, files
        return cls.prepared


def outline(settings: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What the network makes: settings and layers as the file will have them, and the software's versions."""
    progress.detail("building the network")
    prepared = _Warm.of(_recipe(settings["recipe"]))
    made = {"settings": prepared.settings(), "layers": prepared.columns(), "software": software(*SOFTWARE)}
    described: dict[str, Any] = plain(made)
    return described


def extract_shard(settings: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Extract the images of one list to one file, going on with what is there."""
    listing: Listing = read_slice(Path(settings["listing"]))
    recipe, part, inputs = _recipe(settings["recipe"]), settings.get("part"), settings.get("inputs")
    job = Job(listing, Path(settings["output"]), recipe, part, settings["max_bad"], inputs)
    done = extract_job(job, _Warm.of, progress.detail, progress=progress, **settings["options"])
    bad = [] if part else done.bad
    return {"images": done.images, "bad": bad, "up_to_date": done.up_to_date, "seconds": done.seconds}


def _recipe(options: dict[str, Any]) -> Recipe:
    size = options["image_size"]
    lists = {name: tuple(options[name]) for name in ("layers", "pool")}
    return Recipe(**options | lists | {"image_size": tuple(size) if size else None})


def _files(recipe: Recipe) -> list[str]:
    return [name for name in (recipe.model, recipe.weights or "") if os.path.isfile(name)]
