"""fne split."""

from __future__ import annotations

import re
from typing import Any

import click

from fne_cli.cli import kinds, options
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


class _Regions(click.ParamType["tuple[str, int | tuple[int, ...]]"]):
    """sliding:3, sliding:4,9 or grid:2."""

    name = "sliding:N|sliding:I,J|grid:N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | tuple[int, ...]]:
        """To (arrangement, count or levels)."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(sliding|grid):(\d{1,3}(?:,\d{1,3}){0,31})", str(value), re.ASCII)
        if not match:
            forms = "sliding:N, sliding:I,J or grid:N, such as sliding:3 or sliding:4,9"
            self.fail(f"should be {forms}, found {value!r}", param, ctx)
        counts = tuple(map(int, match[2].split(",")))
        return match[1], counts if len(counts) > 1 else counts[0]


@click.command(cls=options.Command)
@click.argument("images")
@click.argument("manifest", type=options.FILE)
@click.option("--list", "lists", type=_List(), multiple=True, help="Official list: train=FILE, val=FILE or test=FILE; "
              "a path on every line, with or without its ending. May be given several times.")  # fmt: skip
@click.option("--per-class", type=click.IntRange(min=1), help="Training images of each class; the rest is for testing.")
@click.option("--test", type=kinds.Share(), help="Share of each class for testing, such as 20%.")
@click.option("--val", type=kinds.Share(), help="Share of each class (with --per-class: of the rest) for validation.")
@click.option("--folds", type=click.IntRange(min=2), help="So many manifests, MANIFEST-1 ...: each image tests once.")
@click.option("--voc", is_flag=True, help="IMAGES is a VOC year folder: several labels from its XML, its own splits.")
@click.option(
    "--holdout",
    type=kinds.Share(),
    help="For choosing without the test images, which get no split: train on split train, test on split val, or on "
    "this share of each class of split train if there is none.",
)
@click.option(
    "--regions",
    type=_Regions(),
    metavar="sliding:N|sliding:I,J|grid:N",
    help="A row with a box for each region of an image. sliding:N has levels 1 to N: at level i there are i x i "
    "windows, 2/(i+1) of width and height, which overlap by half; sliding:4,9 has these levels alone. grid:N has "
    "N x N cells. Without another way images keep their splits.",
)
@options.boxes(
    "A row for each object, with its class; with --regions instead what each region shows: the classes of objects "
    "that it overlaps with by half (intersection over union); from 0.3 on they are ignored."
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of the drawing.")
@options.root
@options.label_column
@options.as_json
@options.overwrite
def split(progress: Console, as_json: bool, regions: Any, **values: Any) -> None:
    """Write a MANIFEST that divides IMAGES into splits.

    Training and test images, or validation images too. IMAGES is what fne extract takes; its labels stay. Use the
    manifest with fne extract MANIFEST --root IMAGES, or with fne evaluate --split MANIFEST.

    \b
    Example: fne split photos/ split.csv --per-class 30 --seed 1
             fne split food-101/images/ split.csv --list train=train.txt --list test=test.txt
             fne split VOCdevkit/VOC2007/ voc.csv --voc
             fne split split.csv inner.csv --root photos/ --holdout 20%
             fne split photos/ regions.csv --regions sliding:3
             fne split VOCdevkit/VOC2007/ objects.csv --voc --boxes VOCdevkit/VOC2007/
    """
    from fne_cli.steps.split import Windows, split

    done = split(progress=progress, regions=None if regions is None else Windows(*regions), **values)
    if as_json:
        options.print_json(done)
        return
    state = " is up to date" if done.up_to_date else ""
    counts = ", ".join(f"{count:,} {name or 'without a split'}" for name, count in done.counts.items())
    more = f" and {len(done.paths) - 1} more" if len(done.paths) > 1 else ""
    regions_of = f"; {done.regions:,} regions of these images" if done.regions else ""
    progress.note(f"{done.paths[0]}{more}{state}: {counts}{regions_of}")
