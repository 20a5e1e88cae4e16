"""fne info."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, table
from fne_cli.unprintable import plain, plain_json


@click.command(cls=options.Command)
@click.argument("file", type=options.FILE)
@options.as_json
def info(progress: Console, as_json: bool, **values: Any) -> None:
    """Say what FILE is, how it was made, and what it holds.

    \b
    Example: fne info photos.h5
    """
    from fne_cli.steps.info import info

    found = info(progress=progress, **values)
    if as_json:
        click.echo(plain_json(dataclasses.asdict(found), allow_nan=True))
        return
    lines = [
        f"{found.path}: fne {found.kind}, format version {found.version}, {found.bytes:,} bytes",
        f"fingerprint  {found.fingerprint}",
        *(f"source       {_source(source)}" for source in found.sources),
        f"software     {', '.join(f'{name} {version}' for name, version in found.software.items())}",
    ]
    lines += [f"{name:<12} {text}" for name, text in _flat(found.settings)]
    if found.images is not None:
        lines += _images(found.images)
    if found.behavior is not None:
        low, high = (_cell(found.behavior[name]) for name in ("low", "high"))
        lines.append(f"classes      {found.behavior['classes']:,}, {found.behavior['compared']:,} of them compared")
        lines.append(f"thresholds   low {low}, high {high}")
    if (held := found.projection) is not None:
        lines.append(
            f"projection   {held['columns']:,} columns of {held['components']:,} components, which explain "
            f"{100 * held['explained']:.2f} % of the variance of {held['rows']:,} rows"
        )
    if (learned := found.vocabulary) is not None:
        shapes = ", ".join(f"{name} {_cell(shape)}" for name, shape in learned["arrays"].items())
        lines.append(f"vocabulary   {learned['words']:,} words for --model {learned['model']}: {shapes}")
    click.echo("\n".join(map(plain, lines)))
    columns = [name for name in found.layers[0] if name not in ("chunk_rows", "thresholds")] if found.layers else []
    if found.layers:
        click.echo(table(tuple(columns), [tuple(_cell(layer[name]) for name in columns) for layer in found.layers]))


def _source(source: Any) -> str:
    """What a file was made from; in files of others it may be any JSON."""
    told = isinstance(source, dict) and {"kind", "fingerprint"} <= source.keys()
    if isinstance(source, dict) and source.keys() == {"kind", "sha256"}:  # of what is no file of ours
        return f"{source['kind']} {source['sha256']}"
    return f"{source['kind']} {source['fingerprint']}" if told else json.dumps(source, ensure_ascii=False)


def _flat(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings a person looks for; the layers stand in the table below."""
    lines = []
    for name, value in settings.items():
        if name == "activations":
            lines += _flat(value)
        elif name != "layers":
            lines.append((name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return lines


def _images(images: dict[str, Any]) -> list[str]:
    splits = ", ".join(f"{split} {count:,}" for split, count in images["splits"].items()) or "no splits"
    lines = [
        f"images       {images['count']:,} ({splits}), {images['crops']} row(s) each; {images['classes']:,} classes, "
        f"{images['unlabelled']:,} images without label",
        f"bad images   {len(images['bad']):,}",
    ]
    lines += [f"             {bad['path']}: {bad['message']}" for bad in images["bad"][:5]]
    if len(images["bad"]) > 5:
        lines.append(f"             and {len(images['bad']) - 5:,} more (--json has all)")
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "none"
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
