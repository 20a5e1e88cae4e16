"""fne retrieve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fne_cli.cli import kinds, options
from fne_cli.cli.console import Console, table
from fne_cli.options import taken
from fne_cli.unprintable import plain_json


@click.command(cls=options.Command)
@click.argument("features", type=options.FILE, nargs=-1, required=True, metavar="FEATURES... [RESULTS]")
@options.queries
@options.vectors
@click.option("--each-layer", is_flag=True, help="Measure every layer alone, too.")
@click.option(
    "--relevant",
    default="label",
    show_default=True,
    metavar="COLUMN",
    help="What relevant images have in common with the query: the label, or what a column of --manifest says.",
)
@click.option("--manifest", type=options.FILE, help="The manifest that has the columns of --relevant and --by.")
@click.option(
    "--truth",
    type=options.FILE,
    help="JSON with easy, hard and junk images of each query, as revisited Oxford and Paris have it, instead of "
    "--relevant: measured in their three set-ups.",
)
@click.option("--by", metavar="COLUMN", help="Also measure the queries of each value of this column of --manifest.")
@click.option(
    "--at",
    type=kinds.Numbers("ranks such as 1,5,10", positive=True, whole=True),
    default="1,5,10",
    show_default=True,
    help="Ranks of precision and recall.",
)
@click.option("--expand", type=click.IntRange(min=0), default=0, metavar="N",
              help="Query expansion: look again with the mean of the query and its N nearest.")  # fmt: skip
@click.option("--augment", type=click.IntRange(min=0), default=0, metavar="N",
              help="Of the database, each vector becomes the mean of itself and its nearest N.")  # fmt: skip
@click.option("--power", type=click.FloatRange(min=0), default=0.0, show_default=True,
              help="Neighbours of --expand and --augment weigh cosine^POWER; 0: as much as the query.")  # fmt: skip
@click.option("--regions", is_flag=True, help="Compare all regions of a picture as one: the mean, over those of the "
              "query, of the smallest distance to one of the other.")  # fmt: skip
@click.option("--rerank", type=click.IntRange(min=0), default=0, metavar="N",
              help="Of --regions: compare first regions, and all of them only of the nearest N.")  # fmt: skip
@click.option("--per-query", type=options.CSV, help="CSV to write: a line for each query.")
@click.option("--memory", type=kinds.Bytes(), help="Memory to use, such as 2G.  [default: half of what is free]")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Seed of the intervals.")
@options.as_json
@options.overwrite
def retrieve(progress: Console, features: tuple[Path, ...], as_json: bool, **values: Any) -> None:
    """Measure how well images of a kind find each other.

    All images are ranked for every query, and the rankings measured: mean average precision in its three forms,
    precision and recall at some ranks, and others. A query is never looked for itself; queries without a relevant image
    are counted and left out. With RESULTS, a file that ends in .json, everything is written there.

    \b
    Example: fne retrieve codes.h5 retrieval.json --queries test --among train
             fne retrieve photos.h5 --embedding z,root,pca:128,whiten --each-layer
             fne retrieve oxford.h5 --queries all --truth gnd_roxford5k.json
    """
    from fne_cli.steps.retrieve import RetrievalOptions, VectorOptions, retrieve

    given, results = options.with_output(features, ".json", "RESULTS", "FEATURES")
    vectors, chosen = taken(VectorOptions, values), taken(RetrievalOptions, values)
    done = retrieve(given, results, vectors, chosen, progress=progress, **values)
    if done.up_to_date:
        progress.note(f"{done.path} is up to date")
    click.echo(plain_json(done.results) if as_json else _table(done.results["results"]))


_SHOWN = {
    "mean_average_precision_trapezoidal": "mAP, trapezoidal",
    "mean_average_precision_rectangular": "rectangular",
    "mean_average_precision_interpolated": "interpolated",
    "r_precision": "R-precision",
    "mean_reciprocal_rank": "reciprocal rank",
}


def _table(results: list[dict[str, Any]]) -> str:
    """A line for each embedding or layer, set-up, and value of --by."""
    several = "setup" in results[0]
    by = "by" in results[0]
    at = [name for name in results[0] if name.startswith(("precision_at_", "recall_at_"))]
    figures = _SHOWN | {name: name.replace("_at_", " at ") for name in at}
    scored = "ns_score" in results[0]
    header = ("", *(("set-up",) if several else ()), *(("of",) if by else ()), "features", "queries", *figures.values())
    rows = []
    for result in results:
        lines = {"all": result, **result["by"]} if by else {"": result}
        for of, line in lines.items():
            if not line["queries"]:
                continue
            row = (result["name"], *((result["setup"],) if several else ()), *((of,) if by else ()))
            row += (
                f"{result['features']:,}",
                f"{line['queries']:,}",
                *(f"{100 * line[name]:.2f} %" for name in figures),
            )
            rows.append(row + ((f"{line['ns_score']:.3f}",) if scored else ()))
    return table(header + (("N-S score",) if scored else ()), rows)
