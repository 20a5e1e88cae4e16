"""images -> a vocabulary of their local descriptors, learned from training images only."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fne_cli.descriptors.handcrafted import COMPONENTS, IMAGE_SIZE, WORDS
from fne_cli.descriptors.sift import DIMENSIONS, PATCHES, STEP, DenseSift, Kind
from fne_cli.errors import BadInput, DoesNotFit, TooManyBad, WrongOptions
from fne_cli.images import contents
from fne_cli.images.lists import findings, source
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.images.pixels.bad import Allowed, Status, bad_summary
from fne_cli.images.pixels.geometry import Geometry
from fne_cli.machine import free_memory, processors, thread_pool
from fne_cli.numerics.vocabulary.learning import Learned, bytes_needed, learn_mixture, learn_words
from fne_cli.numerics.vocabulary.words import Assign
from fne_cli.progress import SILENT, Progress
from fne_cli.store.format.schema import VOCABULARY
from fne_cli.store.format.writer import Writer
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run, plain, software, time_run
from fne_cli.store.output.up_to_date import up_to_date

_TOGETHER = 32  # images that are decoded and described at a time
_PACKAGES = ("opencv-python-headless", "opencv-python", "scikit-learn", "pillow")


@dataclass(frozen=True)
class VocabularyOptions:
    """What determines a vocabulary beside the images; docs/cli.md describes the options of these names.

    words, components and assign default to what goes with the model.
    """

    model: Literal["fisher", "bow"] = "fisher"
    words: int | None = None
    components: int | None = None
    assign: Assign | None = None
    descriptor: Kind = "rootsift"
    patches: Sequence[int] = PATCHES
    step: int = STEP
    samples: int = 200_000
    image_size: tuple[int, int] = IMAGE_SIZE
    resize: Literal["squash", "crop"] = "squash"
    seed: int = 0

    def complete(self) -> VocabularyOptions:
        """With what was left open. Raises WrongOptions for what does not go together, BadInput."""
        of_other = {"fisher": ("assign", self.assign, "bow"), "bow": ("components", self.components, "fisher")}
        name, value, other = of_other[self.model]
        if value is not None:
            raise WrongOptions(f"--{name} is for --model {other}. Found: --model {self.model}. Leave --{name} out.")
        patches = tuple(sorted({*self.patches}))
        if not patches or len(patches) > 16 or patches[0] < 8:
            raise BadInput(f"--patches should be one to 16 sides of 8 pixels or more. Found: {list(patches)}.")
        if (self.components or 0) > DIMENSIONS:
            raise BadInput(f"--components should be at most {DIMENSIONS}, as SIFT has. Found: {self.components}.")
        return replace(
            self,
            words=self.words or WORDS[self.model],
            components=(self.components or COMPONENTS) if self.model == "fisher" else None,
            assign=(self.assign or "hard") if self.model == "bow" else None,
            patches=patches,
        )

    def settings(self, rows: str) -> dict[str, Any]:
        """As the file has them."""
        found = {name: value for name, value in asdict(self).items() if value is not None} | {"rows": rows}
        settings: dict[str, Any] = plain(found)
        return settings


@dataclass(frozen=True)
class LearnedVocabulary:
    """The file, its model, words, and components (none of bow); images and descriptors that it was learned from."""

    path: Path
    model: str
    words: int
    components: int | None
    images: int
    descriptors: int
    bad: Sequence[tuple[str, str]] = ()
    up_to_date: bool = False
    seconds: float = 0.0

    def bad_summary(self) -> str:
        """How many images are bad, and the first few with what was wrong."""
        return bad_summary(self.bad, self.images)


def vocabulary(
    images: str,
    vocabulary: Path,
    options: VocabularyOptions = VocabularyOptions(),  # frozen
    *,
    root: str | None = None,
    rows: str | None = None,
    workers: int | None = None,
    max_bad: str = "0",
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> LearnedVocabulary:
    """Learn the words of `images` and write them to the file `vocabulary`.

    rows: "train" (default if there are splits), "all", or any split. The file's bytes depend on the images, the options
    and the software alone. Raises the errors of fne_cli.errors; DoesNotFit before anything is read.
    """
    options, allowed = options.complete(), Allowed.parse(max_bad)
    height, width = options.image_size
    sift = DenseSift(height, width, options.patches, options.step, options.descriptor)
    check_noted(Path(images))
    listing = source.list_images(images, root, LABEL)
    findings.tell(listing, images, progress)
    rows, listing = _chosen(listing, images, rows)
    _check_memory(options, sift, workers or processors())
    named = {"images": [Path(images)] if os.path.exists(images) else []}

    def origin(sha256: Sequence[str]) -> Origin:
        digest = hashlib.sha256(contents.listing_digest(listing).encode())
        digest.update("\n".join(sha256).encode())
        made_from = [{"kind": "images", "sha256": digest.hexdigest()}]
        return Origin("vocabulary", options.settings(rows), made_from, named)

    there = vocabulary.exists() and not vocabulary.is_symlink()
    known = contents.read_digests(listing, processors(), lambda count: None) if there else [""] * len(listing)
    if up_to_date(vocabulary, origin(known), overwrite, progress):
        return _told(vocabulary, options, len(listing), up_to_date=True)
    with Output(vocabulary) as output:
        began, run = time.monotonic(), new_run(software(*_PACKAGES))
        samples, sha256, bad = _drawn(listing, sift, options, workers, progress)
        if len(bad) > allowed.limit(len(listing)):
            raise TooManyBad(
                f"{bad_summary(bad, len(listing))}\nThat is more than --max-bad {allowed.text} allows.",
                bad=len(bad),
                mending="Or mend them.",
            )
        learned = _learned(samples, options, progress)
        made_from = origin(sha256)
        with Writer.create(
            output.into, "vocabulary", [], 0, settings=made_from.settings, sources=made_from.sources,
            software=software(*_PACKAGES), fingerprint=made_from.fingerprint,
        ) as writer:  # fmt: skip
            for name in VOCABULARY[options.model]:
                writer.put_table(f"vocabulary/{name}", learned.arrays[name])
        run["images"] = len(listing)
        time_run(run, time.monotonic() - began)
        output.accept({"fingerprint": made_from.fingerprint, **made_from.noted(vocabulary), "runs": [run]})
    seconds = time.monotonic() - began
    return replace(_told(vocabulary, options, len(listing)), descriptors=len(samples), bad=bad, seconds=seconds)


def _chosen(listing: Listing, images: str, rows: str | None) -> tuple[str, Listing]:
    """The images to learn from, and what they are called. Raises BadInput."""
    splits = sorted({*listing.splits} - {""})
    if rows is None:
        if splits and "train" not in splits:
            raise BadInput(f"{images} should have a split train. Found: {', '.join(splits)}. Choose one with --rows.")
        rows = "train" if splits else "all"
    numbers = [number for number, split in enumerate(listing.splits) if rows in ("all", split)]
    if not numbers:
        raise BadInput(
            f"--rows {rows} should choose at least one image. Found: none. Splits: {', '.join(splits) or 'none'}."
        )
    return rows, listing.part(numbers)


def _check_memory(options: VocabularyOptions, sift: DenseSift, threads: int) -> None:
    """Raises DoesNotFit."""
    needed = bytes_needed(options.samples, DIMENSIONS, int(options.words or 0), options.model == "fisher")
    needed += threads * sift.bytes_at_work()
    free = free_memory()
    if needed > free:
        raise DoesNotFit(
            f"Learning {options.words:,} words from {options.samples:,} descriptors takes about {needed:,} bytes. "
            f"Free: {free:,}.\nUse fewer --samples or --words."
        )


def _drawn(
    listing: Listing, sift: DenseSift, options: VocabularyOptions, workers: int | None, progress: Progress
) -> tuple[np.ndarray, list[str], list[tuple[str, str]]]:
    """Descriptors, the SHA-256 of each image, and the bad images with what is wrong.

    Of each image as many are drawn as of any other, by a generator of its own: neither threads nor batches matter.
    """
    from fne_cli.images.pipeline import image_batches

    shares = _shares(options.samples, len(listing), sift.count)
    geometry = Geometry(*options.image_size, options.resize)
    found: list[np.ndarray] = []
    sha256, bad = [""] * len(listing), []

    def draw(number: int, pixels: np.ndarray) -> np.ndarray:
        chosen = np.random.default_rng([options.seed, number]).choice(sift.count, shares[number], replace=False)
        return sift.drawn(pixels, np.sort(chosen))

    batches = image_batches(listing, geometry, _TOGETHER, range(len(listing)), workers)
    with progress.track(len(listing), "images") as advance, thread_pool(workers) as pool:
        for batch in batches:
            good = np.flatnonzero(batch.status == Status.GOOD)
            pixels = batch.pixels[batch.slots[good]]
            found += pool.map(draw, batch.numbers[good].tolist(), pixels)
            for place, number in enumerate(batch.numbers.tolist()):
                sha256[number] = batch.sha256[place]
                if batch.status[place] != Status.GOOD:
                    bad.append((listing.ids[number], batch.message[place]))
            advance(len(batch.numbers))
    return np.concatenate([np.zeros((0, DIMENSIONS), np.float32), *found]), sha256, bad


def _shares(samples: int, images: int, most: int) -> np.ndarray:
    """(images,) how many descriptors each image gives: `samples` together, if that many are there."""
    edges = np.arange(images + 1) * samples // images  # spread over the list, also where there are more images
    shares: np.ndarray = np.minimum(np.diff(edges), most)
    return shares


def _learned(samples: np.ndarray, options: VocabularyOptions, progress: Progress) -> Learned:
    words = int(options.words or 0)
    progress.note(
        f"learning {words:,} {'Gaussians' if options.components else 'words'} from {len(samples):,} descriptors"
    )
    if options.components:
        learned = learn_mixture(samples, options.components, words, options.seed)
    else:
        learned = learn_words(samples, words, options.seed)
    rest = "it came to rest" if learned.at_rest else "it had not come to rest, which costs little"
    progress.detail(f"{learned.turns} turns; {rest}")
    return learned


def _told(path: Path, options: VocabularyOptions, images: int, up_to_date: bool = False) -> LearnedVocabulary:
    return LearnedVocabulary(
        path, options.model, int(options.words or 0), options.components, images, options.samples, up_to_date=up_to_date
    )
