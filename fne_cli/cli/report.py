"""fne report."""

from __future__ import annotations

from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("results", type=options.FILE, nargs=-1, metavar="RESULTS...")
@click.argument("page", type=options.FILE)
@click.option(
    "--predictions",
    type=options.FILE,
    multiple=True,
    help="What fne evaluate --predictions wrote beside one of RESULTS: show the images most confidently wrong. "
    "Repeatable.",
)
@click.option(
    "--activations",
    type=options.FILE,
    multiple=True,
    help="Activations or codes that RESULTS were made from: list bad images and why. Repeatable.",
)
@click.option(
    "--maps",
    type=options.FILE,
    multiple=True,
    help="Folder that fne map wrote: contact sheets of chosen and of wrong images, and how well maps find objects. "
    "Repeatable.",
)
@click.option("--images", help="What they were extracted from (folder, manifest, .tar): thumbnails.")
@click.option("--root", type=str, help="Folder that the paths of a manifest start from.")
@click.option("--title", help="Heading of the page.  [default: the experiment's name, or the networks']")
@click.option("--figures", type=options.FILE, help="Folder for the charts as PNG, SVG and PDF, drawn by matplotlib.")
@click.option(
    "--figure-width",
    type=click.FloatRange(2, 14),
    metavar="INCHES",
    help="Width of the --figures of accuracies and classes: 3.3 for a column, 6.9 for a page of many conferences.  "
    "[default: 7]",
)
@click.option(
    "--latex",
    type=options.FILE,
    help=".tex to write: a table for LaTeX (booktabs), a line for each configuration, a column for each number of "
    "training images; the best bold, significant differences marked.",
)
@click.option("--csv", type=options.CSV, help=".csv to write: every figure, with its interval, cost and comparison.")
@options.as_json
@options.overwrite
def report(progress: Console, as_json: bool, **values: Any) -> None:
    """Make one self-contained HTML PAGE of RESULTS.

    It has tables, charts, confusions, wrong images, and how to reproduce it. RESULTS are files of fne evaluate, or what
    fne run or fne transfer wrote (its results.json, or the folder); what was measured on the same images by the same
    protocol is compared. The page loads nothing from anywhere. Needs Jinja2 and Vega-Lite: pip install
    'fne-cli[report]'.

    \b
    Example: fne report results/digits/ page.html
             fne report embedding.json layers.json page.html --figures figures/
             fne report embedding.json page.html --predictions p.csv --activations photos.h5 --images photos/
             fne report results.json page.html --maps maps/
             fne report results/birds/ page.html --latex birds.tex --csv birds.csv
             fne report results/birds/ page.html --figures figures/ --figure-width 3.3
    """
    from fne_cli.steps.report import report
    from fne_cli.steps.report.written.standing import ENDINGS

    if not values["results"]:  # click gives a single path to the last argument
        page = values["page"]
        missing = "RESULTS..." if page.suffix.lower() in ENDINGS else "PAGE"
        raise click.UsageError(f"Missing argument {missing!r}. Found: only {page}. fne report RESULTS... page.html")
    done = report(progress=progress, **values)
    if as_json:
        options.print_json(done)
        return
    state = " is up to date" if done.up_to_date else ""
    more = (f"; figures in {done.figures}" if done.figures else "") + "".join(f"; table {path}" for path in done.tables)
    progress.note(f"{done.page}{state}{more}")
