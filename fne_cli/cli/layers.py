"""fne layers."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.unprintable import plain

if TYPE_CHECKING:
    from fne_cli.steps.layers import NamedNetwork

_SORTED_BY = ("name", "image_size", "features", "parameters", "flop", "licence")
_IN_A_BLOCK = "part of a block"
_WAYS = {
    "classifier": "--layers '*' takes it too",
    _IN_A_BLOCK: "--layers '*' takes these too",
    "not a row for each image": "",
    "no floats": "",
}
_MANY = 3  # layers of one reason that get a line each


@click.command(cls=options.Command)
@click.argument("model", required=False)
@options.layers("Layers to tap, names or globs.  [default: all but the classifier]")
@click.option("--pool", type=kinds.Names(), default=(), help="As in fne extract.")
@click.option("--image-size", type=kinds.Size(), help="Input size, where the network leaves it open.")
@click.option("--list", "listed", is_flag=True, help="List the networks that have a name, as without MODEL.")
@click.option("--sort", type=click.Choice(_SORTED_BY), help="What that list is sorted by.  [default: families]")
@options.as_json
def layers(progress: Console, as_json: bool, model: str | None, listed: bool, sort: str | None, **values: Any) -> None:
    """List the layers of a network, and the features that they give.

    MODEL is what fne extract --model takes. Without it the networks are listed that have a name: the features of the
    full embedding, parameters with the classifier, and operations for one image in billions (GFLOP).

    \b
    Example: fne layers vgg16
             fne layers --list --sort flop
    """
    from fne_cli.steps.layers import known, layers

    if model is not None and (listed or sort):
        raise click.UsageError("--list and --sort are of all networks. Leave MODEL out.")
    if model is None:
        if values["layers"] or values["pool"] or values["image_size"]:
            raise click.UsageError("--layers, --pool and --image-size are of one network. Name a MODEL, too.")
        _print_known(known(sort), as_json)
        return
    found = layers(model, progress=progress, **values)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found)))
        return
    rows = [
        (
            str(row.order),
            row.layer,
            row.kind,
            " x ".join(map(str, row.output_shape)),
            row.pooling if len(row.output_shape) > 1 or row.first_column is None else "",  # nothing to pool
            f"{row.features:,}" if row.first_column is not None else "",
            f"{row.first_column:,}" if row.first_column is not None else "",
        )
        for row in found.rows
    ]
    click.echo(table(("order", "layer", "kind", "output", "pooling", "features", "first column"), rows))
    tapped = sum(row.first_column is not None for row in found.rows)
    name, (height, width) = plain(found.network), found.image_size
    click.echo(
        f"{name}, {height} x {width}, preprocessing {found.preprocess}: {tapped} taps, {found.features:,} "
        f"features; {found.bytes_per_image:,} bytes per image (float32), {found.code_bytes_per_image:,} as codes"
    )
    reasons = defaultdict(list)
    for layer, reason in found.left_out:
        reasons[reason].append(layer)
    for reason, names in reasons.items():
        many = reason == _IN_A_BLOCK or len(names) > _MANY
        way = _WAYS.get(reason, "only convolutional and dense layers are tapped")
        shown = [names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"] if many else names
        for name in shown:
            click.echo(plain(f"left out: {name} ({f'{len(names)}, ' if many else ''}{reason}{way and ': '}{way})"))


def _print_known(networks: Sequence[NamedNetwork], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"networks": [dataclasses.asdict(one) for one in networks]}))
        return
    rows = [
        (
            one.name,
            f"{one.image_size} x {one.image_size}",
            one.preprocess,
            f"{one.features:,}",
            f"{one.parameters / 1e6:,.1f} M",
            f"{one.flop / 1e9:,.2f}",
            one.licence,
        )
        for one in networks
    ]
    head = ("network", "images", "preprocessing", "features", "parameters", "GFLOP", "licence of the weights")
    click.echo(table(head, rows))
    click.echo("fne layers NETWORK lists its layers. A .keras, .h5 or .onnx file is a network, too: fne layers FILE.")
