"""fne features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, table
from fne_cli.unprintable import plain

if TYPE_CHECKING:
    from fne_cli.steps.features import FeatureMaps, Pair, Pairs, Prototypes


@click.command(cls=options.Command)
@click.argument("file", type=options.FILE)
@click.option("--class", "class_name", help="Of this class only; for codes also the features' numbers (--json).")
@click.option("--layer", help="Behavior: of this layer only, a name or a glob.")
@click.option("--feature", metavar="LAYER:NUMBER", help="Behavior: of this feature only. With --maps: the one to draw.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Lines of each table, or maps.")
@click.option(
    "--activations", type=options.FILE,
    help="Behavior: also show which images of this file excite the features most.",
)  # fmt: skip
@click.option(
    "--rows",
    help="Codes and --maps: images to use, a split or all.  [default: train, or all if there are no splits; "
    "--maps: all]",
)
@click.option(
    "--share", type=click.FloatRange(0.5, 1, max_open=True), default=0.5, show_default=True,
    help="Codes: a prototype has the codes of more than this share of the images.",
)  # fmt: skip
@click.option("--distances", is_flag=True, help="Codes: the share of features in which prototypes differ.")
@click.option(
    "--maps", type=options.FILE,
    help="Activations with cells (--pool avg:7, or none): a folder for a figure of what the feature is in every cell "
    "of the images that excite it most.",
)  # fmt: skip
@click.option("--images", help="With --maps: what FILE was extracted from, to draw over the images.")
@options.root
@options.as_json
@options.overwrite
def features(progress: Console, as_json: bool, **values: Any) -> None:
    """List the strongest features, or the prototypes of the classes.

    FILE is what fne analyze wrote, for the features, or a codes file, for the prototypes; with --maps it is activations
    of a grid, and a feature is drawn. FOLDER gets LAYER-NUMBER.png, .svg, and .json with the numbers.

    \b
    Example: fne features behavior.h5 --class lotus --top 5
             fne features behavior.h5 --feature block5_conv3:117 --activations photos.h5
             fne features grid.h5 --feature block5_conv3:117 --maps maps/ --images photos/
             fne features codes.h5 --distances
    """
    from fne_cli.steps.features import FeatureMaps, Pairs, features

    found = features(progress=progress, **values)
    if isinstance(found, FeatureMaps):
        progress.note(f"{found.figure}{' is up to date' if found.up_to_date else ''}: {len(found.images):,} images")
    if as_json:
        options.print_json(found)
    elif isinstance(found, Pairs):
        _print_pairs(found)
    elif isinstance(found, FeatureMaps):
        _print_maps(found)
    elif values["distances"]:
        _print_distances(found, values["class_name"], values["top"])
    else:
        _print_prototypes(found, values["class_name"])


def _print_pairs(found: Pairs) -> None:
    for title, pairs in (("presence", found.presence), ("absence", found.absence)):
        click.echo(f"strongest by {title}")
        click.echo(table(("feature", "class", "s", "mean z", ""), [_pair(pair) for pair in pairs]) if pairs else "none")
        click.echo()
    if found.images:
        rows = [
            (f"{one.layer}:{one.feature}", f"{one.value:.4g}", one.label, one.split, one.path) for one in found.images
        ]
        click.echo("images with the largest values")
        click.echo(table(("feature", "value", "class", "split", "image"), rows))


def _print_maps(found: FeatureMaps) -> None:
    rows = [
        (f"{one.value:.4g}", f"{one.peak:.4g}", "-" if one.x is None else f"{one.x:.0f}, {one.y:.0f}", one.label,
         one.split, one.path)
        for one in found.images
    ]  # fmt: skip
    click.echo(table(("value", "largest cell", "at (x, y)", "class", "split", "image"), rows))


def _pair(pair: Pair) -> tuple[str, ...]:
    noise = "" if pair.characteristic else "not above chance"
    return f"{pair.layer}:{pair.feature}", pair.class_name, f"{pair.s:.3f}", f"{pair.z:.2f}", noise


def _print_prototypes(found: Prototypes, class_name: str | None) -> None:
    header = ("features", "high", "low", "neither")

    def cells(features: int, high: int, low: int) -> tuple[str, ...]:
        return tuple(f"{number:,}" for number in (features, high, low, features - high - low))

    rows: Sequence[tuple[str, ...]]
    if class_name is None:
        rows = [
            (one.class_name, f"{one.images:,}", *cells(found.features, one.high, one.low)) for one in found.prototypes
        ]
        click.echo(table(("class", "images", *header), rows))
        return
    own = next(one for one in found.prototypes if one.class_name == class_name)
    click.echo(plain(f"{own.class_name}: {own.images:,} images ({found.rows})"))
    rows = [(part.layer, *cells(part.features, part.high, part.low)) for part in own.layers]
    rows.append(("all layers", *cells(found.features, own.high, own.low)))
    click.echo(table(("layer", *header), rows))


def _print_distances(found: Prototypes, class_name: str | None, top: int) -> None:
    names = [one.class_name for one in found.prototypes]
    rows = []
    for name, distances in zip(names, found.distances or (), strict=True):
        near = sorted((distance, other) for distance, other in zip(distances, names, strict=True) if other != name)
        if class_name is None and near:
            rows.append((name, near[0][1], f"{near[0][0]:.4f}"))
        elif name == class_name:
            rows += [(name, other, f"{distance:.4f}") for distance, other in near[:top]]
    click.echo(table(("class", "nearest", "distance"), rows))
