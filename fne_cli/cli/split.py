"""fne split."""

from __future__ import annotations

import re
from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


class _List(click.ParamType[tuple[str, str]]):
    """SPLIT=FILE."""

    name = "SPLIT=FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """To (split, file)."""
        if isinstance(value, tuple):
            return value
        split, equals, file = str(value).partition("=")
        if not equals or not file or split not in ("train", "val", "test"):
            self.fail(f"should be train=FILE, val=FILE or test=FILE, found {value!r}", param, ctx)
        return split, file


class _Share(click.ParamType[float]):
    """20% or 0.2."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """To a fraction."""
        match = re.fullmatch(r"(\d*\.?\d+)(%?)", str(value))
        share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
        if not 0 < share < 1:
            self.fail(f"should be a share such as 20% or 0.2, found {value!r}", param, ctx)
        return share


@click.command(cls=options.Command)
@click.argument("images")
@click.argument("manifest", type=options.FILE)
@click.option("--list", "lists", type=_List(), multiple=True, help="Official list: train=FILE, val=FILE or test=FILE; "
              "a path on every line, with or without its ending. May be given several times.")  # fmt: skip
@click.option("--per-class", type=click.IntRange(min=1), help="Training images of each class; the rest is for testing.")
@click.option("--test", type=_Share(), help="Share of each class for testing, such as 20%.")
@click.option("--val", type=_Share(), help="Share of each class (with --per-class: of the rest) for validation.")
@click.option("--folds", type=click.IntRange(min=2), help="So many manifests, MANIFEST-1 ...: each image tests once.")
@click.option("--voc", is_flag=True, help="IMAGES is a VOC year folder: several labels from its XML, its own splits.")
@click.option(
    "--holdout",
    type=_Share(),
    help="For choosing without the test images, which get no split: train on split train, test on split val, or on "
    "this share of each class of split train if there is none.",
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of the drawing.")
@options.root
@options.label_column
@options.overwrite
def split(progress: Console, **values: Any) -> None:
    """Write a MANIFEST that divides IMAGES into splits.

    Training and test images, or validation images too. IMAGES is what fne extract takes; its labels stay. Use the
    manifest with fne extract MANIFEST --root IMAGES, or with fne evaluate --split MANIFEST.

    \b
    Example: fne split photos/ split.csv --per-class 30 --seed 1
             fne split food-101/images/ split.csv --list train=train.txt --list test=test.txt
             fne split VOCdevkit/VOC2007/ voc.csv --voc
             fne split split.csv inner.csv --root photos/ --holdout 20%
    """
    from fne_cli.steps.split import split

    done = split(progress=progress, **values)
    state = " is up to date" if done.up_to_date else ""
    counts = ", ".join(f"{count:,} {name or 'without a split'}" for name, count in done.counts.items())
    more = f" and {len(done.paths) - 1} more" if len(done.paths) > 1 else ""
    progress.note(f"{done.paths[0]}{more}{state}: {counts}")
