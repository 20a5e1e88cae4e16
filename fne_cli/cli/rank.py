"""fne rank."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.unprintable import plain_json

if TYPE_CHECKING:
    from fne_cli.steps.rank import Likeness, Ranking


@click.command(cls=options.Command)
@click.argument("files", type=options.FILE, nargs=-1, required=True, metavar="FILE...")
@options.layers("Layers to use, names or globs.  [default: all]")
@options.averaged
@click.option("--rows", help="Images to use: a split, or all.  [default: train, or all if there are no splits]")
@click.option(
    "--neighbours", type=click.IntRange(min=1), default=20, show_default=True, help="Nearest neighbours that vote."
)
@click.option("--cka", is_flag=True, help="Also how alike all layers, and all files, are: linear CKA, 0 to 1.")
@click.option("--csv", type=options.FILE, help=".csv to write: the table; with --cka beside it NAME.cka.csv.")
@click.option("--figures", type=options.FILE, help="Folder for the matrix of --cka as PNG and SVG, by matplotlib.")
@click.option("--memory", type=kinds.Bytes(), help="Memory to use, such as 2G.  [default: half of what is free]")
@click.option(
    "--seed", type=options.SEED, default=0, show_default=True,
    help="Seed of the 5,000 rows whose neighbours are looked for, if there are more.",
)  # fmt: skip
@options.as_json
@options.overwrite
def rank(progress: Console, as_json: bool, **values: Any) -> None:
    """Rank sources by how well they fit the classes, without training.

    Each FILE has activations, codes or z-scores of the same images, by another network or another pooling. Of each, and
    of each of its layers: LogME, the evidence behind it, the H-score with a shrunk covariance, and how often nearest
    neighbours have the right class, each image left out in its turn. Only training images are looked at. The best file
    comes first, by the evidence of all its layers.

    \b
    Example: fne rank vgg16.h5 resnet50.h5
             fne rank photos.h5 --cka --csv layers.csv --figures figures/
    """
    from fne_cli.steps.rank import rank

    found = rank(progress=progress, **values)
    if found.path is not None:
        progress.note(f"{found.path}{' is up to date' if found.up_to_date else ''}")
    if found.figures is not None:
        progress.note(f"figure in {found.figures}")
    if as_json:
        click.echo(plain_json(_plain(found)))
        return
    click.echo(_figures(found))
    if found.likeness is not None:
        click.echo()
        click.echo(_matrix(found.likeness))


def _plain(found: Ranking) -> dict[str, Any]:
    """As --json has it."""
    files = [{**dataclasses.asdict(one), "file": str(one.file)} for one in found.files]
    alike = None if found.likeness is None else dataclasses.asdict(found.likeness)
    return {"rows": found.rows, "files": files, **({} if alike is None else {"cka": alike})}


def _figures(found: Ranking) -> str:
    several = len(found.files) > 1
    header = (
        *(("file",) if several else ()),
        "",
        "features",
        "LogME",
        "evidence",
        "H-score",
        "shrinkage",
        "neighbours",
    )
    rows = []
    for one in found.files:
        for fit in one.fits:
            logs = (f"{fit.log_me:.4f}", f"{fit.evidence:.4f}")
            figures = (f"{fit.features:,}", *logs, f"{fit.h_score:.3f}", f"{fit.shrinkage:.4f}")
            accuracy = f"{100 * fit.neighbours_accuracy:.2f} %"
            rows.append((*((str(one.file),) if several else ()), fit.name, *figures, accuracy))
    return table(header, rows)


def _matrix(alike: Likeness) -> str:
    """Members are numbered, so that many columns find room."""
    several = len(set(alike.files)) > 1
    numbers = [str(number) for number in range(1, len(alike.names) + 1)]
    rows = []
    for number, file, name, row in zip(numbers, alike.files, alike.names, alike.matrix, strict=True):
        values = ("-" if value is None else f"{value:.2f}" for value in row)
        rows.append((number, *((file,) if several else ()), name, *values))
    return table(("", *(("file",) if several else ()), "CKA with", *numbers), rows)
