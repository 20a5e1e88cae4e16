"""Features -> a map of images: each a point in the plane, on a page to look at or as a table."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit, WrongOptions
from fne_cli.machine import free_memory
from fne_cli.numerics.layout import axes as principal
from fne_cli.numerics.layout.plane import AXES, Method, laid_out, settings_of
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.scatter.points import Points, shown_images, write_table
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.predictions import read_said
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import sha256_of
from fne_cli.store.output.up_to_date import check_place, is_recorded
from fne_cli.vectors.options import KINDS, VectorOptions
from fne_cli.vectors.vectors import Vectors

__all__ = ["ScatterOptions", "Scattered", "VectorOptions", "scatter"]

ON_PAGE, OF_NEIGHBOURS, MOST_ON_PAGE = 20_000, 10_000, 200_000
_FEWEST = 3


@dataclass(frozen=True)
class ScatterOptions:
    """The options of `fne scatter` of these names; docs/cli.md describes them.

    points: images at most; None is what the help says. thumbnails: pictures on a page at most. memory: bytes, half of
    what is free if it is None.
    """

    method: Method = "pca"
    points: int | None = None
    seed: int = 0
    predictions: Path | None = None
    images: str | None = None
    root: str | None = None
    thumbnails: int | None = None
    memory: int | None = None

    def most(self, page: bool) -> int | None:
        """How many images at most, None for all. Raises WrongOptions for more than a page can hold."""
        if page and self.points is not None and self.points > MOST_ON_PAGE:
            raise WrongOptions(
                f"--points should be at most {MOST_ON_PAGE:,} on a page. Found: {self.points:,}. A .csv takes any."
            )
        if self.points is not None:
            return self.points
        return OF_NEIGHBOURS if self.method != "pca" else ON_PAGE if page else None


@dataclass(frozen=True)
class Scattered:
    """The output; how many of the good images are on it; what was laid out, and how.

    explained: the share of the variance that the two axes have, of pca. wrong: how many of the images on it are
    predicted wrong, None without predictions. pictures: how many have one. bytes: of the output.
    """

    path: Path
    images: int
    of: int
    embedding: str
    method: Method
    explained: float | None = None
    wrong: int | None = None
    pictures: int = 0
    bytes: int = 0
    up_to_date: bool = False


def scatter(
    features: Path,
    output: Path,
    *,
    vectors: VectorOptions = VectorOptions(),  # noqa: B008  # frozen
    options: ScatterOptions = ScatterOptions(),  # frozen
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Scattered:
    """Lay the images of `features` out in the plane; output: .html, a page with pictures, or .csv.

    Axes are fitted to training images (or all, if there are no splits), as embeddings are; t-SNE and UMAP lay out the
    images that are shown by themselves, whichever split they are of. An image with several crops is their mean. Memory
    is bounded by the number of points. Raises the errors of fne_cli.errors.
    """
    page = _is_page(output)
    _check(options, page)
    most = options.most(page)
    memory = options.memory or free_memory() // 2
    with ExitStack() as stack:
        files = stack.enter_context(JoinedFiles(features, *KINDS))
        compared = Vectors(files, vectors, memory)
        good = np.flatnonzero(files.good)
        if len(good) < _FEWEST:
            raise BadInput(f"{files.name} should have at least {_FEWEST} good images. Found: {len(good):,}.")
        order = good[np.random.default_rng(options.seed).permutation(len(good))][:most]
        fitted_to, learned = _learned(files, vectors.rows)
        done = Scattered(output, len(order), len(good), compared.called, options.method)
        origin = _origin(compared, fitted_to, options, len(order), output)
        what = "this map. Found: another, or one that has changed since"
        check_place(output, origin.paths, overwrite)
        if is_recorded(output, origin.fingerprint, origin, overwrite, what, progress):
            return replace(done, bytes=output.stat().st_size, up_to_date=True)
        said = None if options.predictions is None else read_said(options.predictions)
        shown = shown_images(files, np.sort(order), said, options.predictions)
        if len(order) < len(good):
            progress.note(f"{len(order):,} of {len(good):,} good images are shown, drawn by the seed {options.seed}")
        with Output(output) as target:  # before the work: is it taken, is there room?
            places, explained = _places(compared, np.flatnonzero(learned), shown.numbers, options, memory, progress)
            points = Points(shown, places)
            done = replace(done, explained=explained, wrong=shown.wrong)
            if page:
                from fne_cli.steps.scatter.pages import write_page  # needs Jinja2

                facts = _facts(files, compared, fitted_to, options, explained, origin)
                pictures = write_page(target.into, points, order, facts, files, options, done, progress)
                done = replace(done, pictures=pictures)
            else:
                write_table(target.into, points)
            target.accept_noted({"fingerprint": origin.fingerprint, **origin.noted_whole(output)})
        return replace(done, bytes=output.stat().st_size)


def _is_page(output: Path) -> bool:
    """Whether the output is a page. Raises WrongOptions for an ending that means nothing here."""
    ending = output.suffix.lower()
    if ending not in (".html", ".csv"):
        raise WrongOptions(f"{output} should end in .html (a page) or .csv (a table). Found: {ending or 'no ending'}.")
    return ending == ".html"


def _check(options: ScatterOptions, page: bool) -> None:
    """Raises WrongOptions for what does not go together, BadInput for what is not installed."""
    for name in ("images", "thumbnails"):
        if getattr(options, name) is not None and not page:
            raise WrongOptions(f"--{name} is for the pictures of a page. Name an OUTPUT that ends in .html.")
    for name in ("root", "thumbnails"):
        if getattr(options, name) is not None and options.images is None:
            raise WrongOptions(f"--{name} goes with --images, which says where pictures are. Give that, too.")
    if page and importlib.util.find_spec("jinja2") is None:
        raise BadInput("A page needs Jinja2, which is not installed. pip install 'fne-cli[report]'")
    if options.method == "umap" and importlib.util.find_spec("umap") is None:
        raise BadInput("--method umap needs umap-learn, which is not installed. pip install 'fne-cli[map]'")


def _learned(files: JoinedFiles, rows: str | None) -> tuple[str, np.ndarray]:
    """The images that axes are fitted to: those of the rows that are asked for, else of train, else all."""
    try:
        return files.chosen(rows)
    except BadInput:
        if rows is not None:
            raise
        return files.chosen("all")


def _origin(vectors: Vectors, fitted_to: str, options: ScatterOptions, count: int, output: Path) -> Origin:
    settings: dict[str, Any] = {
        **vectors.described(),
        "axes_rows": fitted_to,
        "method": options.method,
        **settings_of(options.method, count),
        "points": options.points,
        "seed": options.seed,
        "form": output.suffix.lower(),
    }
    if settings["form"] == ".html":
        settings |= {"images": options.images, "root": options.root, "thumbnails": options.thumbnails}
    sources, inputs = vectors.sources(), dict(vectors.inputs_by_role())
    if options.predictions is not None:
        if not options.predictions.is_file():
            raise BadInput(
                f"--predictions {options.predictions} should be CSV with the columns path and prediction. "
                "Found: no such file."
            )
        sources.append({"kind": "predictions", "fingerprint": sha256_of(options.predictions)})
        inputs["predictions"] = (options.predictions,)
    return Origin(
        "scatter",
        settings,
        sources,
        inputs,
        inherited=("axes_rows", "perplexity", "n_neighbors"),
        with_network=("layers",),
        network=vectors.files.settings,
    )


def _places(
    vectors: Vectors, learned: np.ndarray, shown: np.ndarray, options: ScatterOptions, memory: int, progress: Progress
) -> tuple[np.ndarray, float | None]:
    """(n, 2) of the shown images; of pca also the share of the variance of the learned ones that is seen."""
    count = 2 if options.method == "pca" else AXES
    needed = principal.bytes_of(vectors.count, count) + 8 * len(shown) * (vectors.crops * count + count + 4)
    if needed > memory:
        raise DoesNotFit(
            f"A map of {len(shown):,} images with {vectors.count:,} columns should take at most {memory / 2**20:,.1f} "
            f"MiB. It takes {needed / 2**20:,.1f} MiB. Allow more --memory, or show fewer --points."
        )
    found = principal.leading(
        lambda: (rows for _, rows in vectors.batches(learned)), vectors.count, count, options.seed
    )
    along = np.empty((len(shown) * vectors.crops, len(found.axes)))
    with progress.track(len(shown), "images") as advance:
        for span, rows in vectors.batches(shown):
            along[span] = found.along(rows)
            advance(len(rows) // vectors.crops)
    means = along.reshape(len(shown), vectors.crops, -1).mean(axis=1)
    if options.method == "pca":
        return laid_out("pca", means, options.seed), float(found.explained[:2].sum())
    progress.note(f"{options.method} of {len(shown):,} images, on one thread, so that it comes out the same each time")
    return laid_out(options.method, means, options.seed), None


def _facts(
    files: JoinedFiles,
    vectors: Vectors,
    fitted_to: str,
    options: ScatterOptions,
    explained: float | None,
    origin: Origin,
) -> list[tuple[str, str]]:
    """For the page: what was laid out, and how."""
    told = [("features", files.name), ("embedding", vectors.called), ("method", options.method)]
    told.append(("axes fitted to", f"the images of {fitted_to}" if fitted_to != "all" else "all images"))
    if explained is not None:
        told.append(("variance on the two axes", f"{100 * explained:.1f} %"))
    names = ("axes", "perplexity", "n_neighbors", "min_dist", "pool", "thresholds", "seed")
    settings = {name: origin.settings[name] for name in names if name in origin.settings}
    told += [(name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in settings.items()]
    told.append(("layers", ", ".join(origin.settings["layers"])))
    if options.predictions is not None:
        told.append(("predictions", str(options.predictions)))
    return told
