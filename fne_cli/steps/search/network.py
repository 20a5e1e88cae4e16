"""Images that go through the network of a features file, by the settings that the file has recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit, WrongFile
from fne_cli.images.contents import read_digests
from fne_cli.images.lists.listing import Listing
from fne_cli.images.pixels.bad import Status
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.machine import processors
from fne_cli.networks.catalog import HANDCRAFTED, NAMES, is_handcrafted, known_name
from fne_cli.networks.recipe import Recipe
from fne_cli.numerics.codes.ternary import Cuts, Scores
from fne_cli.progress import Progress
from fne_cli.steps.search.options import SearchOptions
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import differences, moments_of, without_shard
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import plain
from fne_cli.unprintable import plain as printed
from fne_cli.vectors.vectors import Vectors


class QueryImages:
    """The images of a listing, to be made comparable with those of files.

    Raises BadInput if nobody knows the network or the moments that the files were made with, DoesNotFit if there are
    more images than the memory has room for.
    """

    def __init__(
        self, listing: Listing, files: JoinedFiles, vectors: Vectors, options: SearchOptions, memory: int
    ) -> None:
        self.listing, self._files, self._memory, self._options = listing, files, memory, options
        self._settings: dict[str, Any] = without_shard(files.settings.get("activations", files.settings))
        self._names = [layer.name for layer in vectors.layers]
        features = sum(readers[0].features for readers in files.layers.values())
        needed = len(listing) * files.crops * features * 4
        if needed > memory // 4:
            raise DoesNotFit(
                f"{len(listing):,} images as queries should take at most {memory // 4 / 2**20:,.1f} MiB. They take "
                f"{needed / 2**20:,.1f} MiB.\nExtract them with fne extract, and give that file as QUERIES; or allow "
                "more memory."
            )
        self._recipe = self._found_recipe()
        self._moments = self._found_moments() if files.kind != "activations" else None

    def digests(self, progress: Progress) -> list[str]:
        """The SHA-256 of each image, "" for one that cannot be read."""
        with progress.track(len(self.listing), "images") as advance:
            return read_digests(self.listing, processors(), advance)

    def rows(self, progress: Progress) -> dict[str, np.ndarray]:
        """The rows of each layer, as the files would have them. Raises BadInput for an image that is bad."""
        from fne_cli.descriptors.opening import open_source  # needs TensorFlow

        progress.detail(f"building {self._recipe.model}")
        try:
            source = open_source(self._recipe)
            apart = differences(self._settings, plain(source.settings()), ("in the file", "of this network"))
        except BadInput as error:  # a network that cannot even take these settings
            apart = [str(error)]
        if apart:
            raise WrongFile(
                f"The network {self._recipe.model} should be the one of {self._files.name}. Found:\n  "
                + "\n  ".join(apart)
                + "\nName the file of that network: --model FILE, with --weights if it is one of the catalogue."
            )
        computed: dict[str, list[np.ndarray]] = {name: [] for name in self._names}
        for parts in self._computed(source, progress):
            for name, values in parts.items():
                computed[name].append(values)
        return self._as_stored({name: np.concatenate(parts) for name, parts in computed.items()})

    def _computed(self, source: Any, progress: Progress) -> Iterator[dict[str, np.ndarray]]:
        """The activations of each batch, by layer."""
        from fne_cli.images import pipeline  # needs TensorFlow

        recipe, (height, width), count = self._recipe, source.image_size, len(self.listing)
        geometry = Geometry(height, width, recipe.resize, recipe.crops, recipe.box_context, decode=recipe.decode)
        call, names = source.extractor(progress.note), [name for name, _, _ in source.columns()]
        batches = pipeline.image_batches(
            self.listing, geometry, recipe.images_per_batch, range(count), memory=self._memory // 4
        )
        with progress.track(count, "images") as advance:
            for batch in batches:
                for number, status, message in zip(batch.numbers, batch.status, batch.message, strict=True):
                    if status != Status.GOOD:
                        _refuse(self.listing.ids[number], message or Status(status).name.lower())
                kept = (batch.slots[:, None] * recipe.crops + np.arange(recipe.crops)).ravel()
                rows = dict(zip(names, (np.asarray(values)[kept] for values in call(batch.pixels)), strict=True))
                for name in self._names:
                    finite = np.isfinite(rows[name]).reshape(len(batch.numbers), -1).all(axis=1)
                    for number in batch.numbers[~finite]:
                        _refuse(self.listing.ids[number], f"layer {name} has values that are not finite")
                yield {name: rows[name].astype(recipe.dtype).reshape(len(kept), -1) for name in self._names}
                advance(len(batch.numbers))

    def _as_stored(self, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Activations as the files have them: as they are, or as codes or z-scores."""
        if self._moments is None:
            return dict(rows)
        found = {}
        with open_file(self._moments, "moments") as statistics:
            table = statistics.moments()
        for name, values in rows.items():
            mean, std = table[name]["mean"], table[name]["std"]
            if self._files.kind == "codes":
                low, high = self._files.settings["thresholds"]
                found[name] = np.empty(values.shape, np.int8)
                Cuts.of(mean, std, low, high).encode(values, found[name])
            else:
                found[name] = np.empty(values.shape, np.float32)
                Scores(mean, std).write(values, found[name])
        return found

    def _found_recipe(self) -> Recipe:
        """The recipe of the files' activations: their settings, with the network as it is recorded or named."""
        settings, options = self._settings, self._options
        asked = _record_of_activations(self._files).get("inputs", {}).get("request", {})
        asked = asked if isinstance(asked, dict) else {}
        model = options.model or asked.get("model") or settings.get("network")
        weights = options.weights or (None if options.model else asked.get("weights"))
        if weights is None and settings.get("weights") in ("imagenet", "random"):
            weights = settings["weights"]
        there = isinstance(model, str) and (model in (*NAMES, *HANDCRAFTED) or os.path.exists(model))
        if not there:
            raise BadInput(
                f"The network of {self._files.name}, {settings.get('network')}, should be there for the images to go "
                f"through. Found: {'no file ' + printed(str(model)) if asked or options.model else 'no record of it'}."
                "\nName its file: --model FILE"
            )
        if weights is not None and weights not in ("imagenet", "random") and not os.path.exists(str(weights)):
            raise BadInput(
                f"The weights of {self._files.name} should be there. Found: no file {printed(str(weights))}.\n"
                "Name it: --weights FILE"
            )
        size, crops = settings["image_size"], int(settings["crops"])
        pools = settings["layers"]
        by_hand = is_handcrafted(str(model))
        return Recipe(
            model=str(model),
            weights=weights if known_name(str(model)) is not None else None,
            seed=int(asked.get("seed", 0)),
            preprocess=None if by_hand else settings["preprocess"],
            image_size=(int(size[0]), int(size[1])),
            layers=tuple(pools),
            pool=() if by_hand else tuple(f"{name}={pool}" for name, pool in pools.items()),
            resize=settings["resize"],
            crops=crops,  # type: ignore[arg-type]  # as the file has it
            box_context=settings["box_context"],
            decode=settings.get("decode", "full"),
            batch_size=settings["batch_rows"],
            precision=settings["precision"],
            xla=settings["xla"],
            dtype=settings["dtype"],
        )

    def _found_moments(self) -> Path:
        """The moments that the files were made with."""
        files, given = self._files, self._options.moments
        wanted = moments_of(files.made_of())["moments"]
        recorded = _named(files.files[0].path, "moments")
        path = given or recorded
        if path is None or not path.exists():
            raise BadInput(
                f"The moments that {files.name} was made with should be there, for the codes of other images. Found: "
                f"{'no file ' + printed(str(path)) if path else 'no record of them'}.\nName their file: --moments FILE"
            )
        with open_file(path, "moments") as statistics:
            if statistics.fingerprint != wanted:
                raise WrongFile(
                    f"{path} should have the moments that {files.name} was made with. Found: others.\n"
                    "Name the right file: --moments FILE"
                )
        return path


def _refuse(name: str, why: str) -> None:
    raise BadInput(f"{printed(name)} should be an image to look for. Found: {why}.\nLeave it out, or mend it.")


def _named(path: Path, role: str) -> Path | None:
    """A file that an output was made from, as its run record names it."""
    made = read_record(path).get("made_from", {})
    names = made.get(role) if isinstance(made, dict) else None
    first = names[0] if isinstance(names, list) and names else None
    return path.parent / first if isinstance(first, str) and "\0" not in first else None


def _record_of_activations(files: JoinedFiles) -> dict[str, Any]:
    """The run record of the activations that the files are, or were made from; {} where there is none."""
    path: Path | None = files.files[0].path
    if files.kind != "activations" and path is not None:
        path = _named(path, "activations")
    return {} if path is None else read_record(path)
