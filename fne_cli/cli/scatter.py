"""fne scatter."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console
from fne_cli.options import taken


@click.command(cls=options.Command)
@click.argument("features", type=options.FILE)
@click.argument("output", type=options.FILE)
@click.option(
    "--method", type=click.Choice(["pca", "tsne", "umap"]), default="pca", show_default=True,
    help="Principal components, t-SNE, or UMAP, which needs umap-learn.",
)  # fmt: skip
@click.option(
    "--points", type=click.IntRange(min=3), metavar="COUNT",
    help="Images at most, drawn by the seed.  [default: 10,000 of tsne and umap, else 20,000 on a page, all in a .csv]",
)  # fmt: skip
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="For what is drawn, and where it begins.")
@click.option(
    "--predictions", type=options.FILE,
    help="What is predicted of the images: CSV of fne predict, of fne evaluate --predictions, or any with the columns "
    "path and prediction.",
)  # fmt: skip
@options.layers("Layers to use, names or globs.  [default: all]")
@options.embedded("[default: l2]")
@click.option("--images", help="What FEATURES were extracted from (folder, manifest, .tar): pictures for a page.")
@options.root
@click.option(
    "--thumbnails", type=click.IntRange(min=0), metavar="COUNT",
    help="Pictures on a page at most, wrong ones first.  [default: 2000]",
)  # fmt: skip
@click.option("--memory", type=kinds.Bytes(), help="Memory to use, such as 2G.  [default: half of what is free]")
@options.as_json
@options.overwrite
def scatter(progress: Console, as_json: bool, **values: Any) -> None:
    """Draw a map of images, each a point among those that are alike.

    FEATURES has codes, activations or z-scores. OUTPUT ends in .html, a page that shows images by mouse and keyboard,
    coloured by class, split, or right and wrong; or in .csv, the same points as a table. Axes are learned on training
    images. t-SNE and UMAP begin with 50 axes. The same command draws the same map.

    \b
    Example: fne scatter codes.h5 map.html --images photos/
             fne scatter codes.h5 map.html --method tsne --images photos/ --predictions predictions.csv
             fne scatter photos.h5 map.csv --method umap --embedding length,pca:64,whiten
    """
    from fne_cli.steps.scatter import ScatterOptions, VectorOptions, scatter

    chosen: dict[str, Any] = {"vectors": taken(VectorOptions, values), "options": taken(ScatterOptions, values)}
    done = scatter(progress=progress, **chosen, **values)
    if as_json:
        options.print_json(done)
        return
    if done.up_to_date:
        progress.note(f"{done.path} is up to date")
        return
    pictures = f", {done.pictures:,} with a picture" if done.pictures else ""
    seen = "" if done.explained is None else f"; the two axes have {100 * done.explained:.1f} % of the variance"
    wrong = "" if done.wrong is None else f"; {done.wrong:,} are predicted wrong"
    progress.note(f"{done.path}: {done.images:,} images{pictures}, {done.bytes / 2**20:.1f} MiB{seen}{wrong}")
