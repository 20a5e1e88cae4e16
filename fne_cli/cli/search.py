"""fne search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.options import taken
from fne_cli.unprintable import plain_json

if TYPE_CHECKING:
    from fne_cli.steps.search import Duplicates, Searched


@click.command(cls=options.Command)
@click.argument("features", type=options.FILE)
@click.argument("paths", type=str, nargs=-1, metavar="[QUERIES...] [OUTPUT]")
@options.queries
@click.option("-K", "--neighbours", type=click.IntRange(min=1), help="Nearest images of each query.  [default: 10]")
@click.option(
    "--within", type=click.FloatRange(min=0), metavar="DISTANCE",
    help="All images within a distance instead; with -K at most so many of them. Of --duplicates, how near is the same "
    "picture.  [default there: L1 of a tenth of the features, cosine 0.0015, of z-scores 0.02]",
)  # fmt: skip
@click.option("--duplicates", is_flag=True, help="Pairs of FEATURES that are the same picture, instead of neighbours.")
@options.vectors
@click.option("--model", help="Network of FEATURES, for QUERIES that are images: its file.  [default: as recorded]")
@click.option("--weights", help="Its weights, if it is known by name.  [default: as recorded]")
@click.option(
    "--moments", type=options.FILE, help="Moments that FEATURES were made with, for images.  [default: as recorded]"
)
@click.option(
    "--images",
    help="What FEATURES were extracted from (folder, manifest, .tar): pictures for a page; and --duplicates compares "
    "pixels.",
)
@options.root
@click.option(
    "--shown", type=click.IntRange(min=1), default=100, show_default=True, help="Queries, or pairs, on a page at most."
)
@click.option("--memory", type=kinds.Bytes(), help="Memory to use, such as 2G.  [default: half of what is free]")
@options.as_json
@options.overwrite
@options.cluster
def search(progress: Console, features: Path, paths: tuple[str, ...], **values: Any) -> None:
    """Find the nearest images of every query, or images that are there twice.

    FEATURES has codes, activations or z-scores. QUERIES are images of the same file (--queries, --among), another such
    file, or pictures: image files, a folder, a manifest or a .tar, which go through the network that FEATURES has
    recorded. OUTPUT is the last path if it ends in .csv, .jsonl or .html (a page with pictures); without one, a table
    is printed. Distances are exact, equally distant images stand in the order of the file, and no image is its own
    neighbour.

    --duplicates finds pairs with equal bytes, equal pixels, or near vectors; those across splits come first: a test
    image that also stands in the training set is measured, not recognised.

    \b
    Example: fne search codes.h5 --queries test --among train found.csv
             fne search codes.h5 holiday/cat.jpg
             fne search photos.h5 new.h5 -K 5 page.html --images photos/
             fne search codes.h5 --duplicates pairs.html --images photos/
    """
    from fne_cli.steps.search import SearchOptions, VectorOptions, find_duplicates, is_output, search

    output = Path(paths[-1]) if paths and is_output(paths[-1]) else None
    asked = paths if output is None else paths[:-1]
    as_json, duplicates, cluster = (values.pop(name) for name in ("as_json", "duplicates", "cluster"))
    if as_json and output is not None:
        raise click.UsageError("--json prints what is found. Leave it out, or OUTPUT.")
    chosen: dict[str, Any] = {"vectors": taken(VectorOptions, values), "options": taken(SearchOptions, values)}
    if duplicates:
        if asked:
            raise click.UsageError(f"--duplicates compares the images of FEATURES. Found: {asked[0]}, too.")
        if cluster is not None:
            raise click.UsageError("--duplicates is not shared by --cluster. Leave one of them out.")
        pairs = find_duplicates(features, output, progress=progress, **chosen, **values)
        _tell_duplicates(pairs, progress, as_json)
        return
    found = search(features, asked, output, cluster=cluster, progress=progress, **chosen, **values)
    if found.up_to_date:
        progress.note(f"{found.path} is up to date")
        return
    queries = "1 query" if found.queries == 1 else f"{found.queries:,} queries"
    compared = f"{queries} among {found.among:,} images by {found.metric} of {found.embedding}"
    progress.note(f"{compared}: {found.found:,} neighbours" + (f" in {found.path}" if found.path else ""))
    if found.path is None:
        _print(found, as_json)


def _print(found: Searched, as_json: bool) -> None:
    if as_json:
        click.echo(plain_json({"metric": found.metric, "embedding": found.embedding, "queries": found.lines}))
        return
    rows = [
        (line["query"], str(rank), f"{near['distance']:.6g}", near["path"], near["label"], near["split"])
        for line in found.lines
        for rank, near in enumerate(line["neighbours"], 1)
    ]
    click.echo(table(("query", "rank", "distance", "neighbour", "label", "split"), rows))


def _tell_duplicates(found: Duplicates, progress: Console, as_json: bool) -> None:
    if found.up_to_date:
        progress.note(f"{found.path} is up to date")
        return
    for where, counts in (("across splits", found.across), ("within a split", found.inside)):
        kinds_found = [name for name in ("bytes", "pixels", "near") if name != "pixels" or found.pixels]
        said = ", ".join(f"{counts.get(name, 0):,} {_SAID[name]}" for name in kinds_found)
        progress.note(f"{where}: {said}")
    progress.note(
        f"{found.across_images:,} of {found.images:,} images have a twin in another split; labels differ in "
        f"{found.relabelled:,} pairs; near is {found.metric} of at most {found.within:g}"
    )
    if not found.pixels:
        progress.note("pixels were not compared: --images says where they are")
    if found.path is not None:
        progress.note(f"pairs in {found.path}")
    elif as_json:
        click.echo(plain_json({"metric": found.metric, "within": found.within, "pairs": found.lines}))
    else:
        header = ("kind", "across", "distance", "first", "split", "second", "split")
        rows = [
            (line["kind"], "yes" if line["across"] else "no", _number(line["distance"]), line["first"],
             line["first_split"], line["second"], line["second_split"])
            for line in found.lines
        ]  # fmt: skip
        click.echo(table(header, rows))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


_SAID = {"bytes": "equal in bytes", "pixels": "equal in pixels", "near": "near"}
