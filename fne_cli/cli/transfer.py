"""fne transfer."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, duration, table
from fne_cli.cli.run import known_options
from fne_cli.unprintable import plain_json


@click.command(cls=options.Command)
@click.argument("experiment", metavar="CONFIG", type=options.FILE)
@click.option("--set", "overrides", metavar="TABLE.KEY=VALUE", multiple=True,
              help="In place of what CONFIG has: transfer.halves=5. May be given repeatedly.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what is up to date, what would be trained, and how long it takes.")
@options.cluster
@options.as_json
@options.overwrite
def transfer(
    progress: Console,
    experiment: Path,
    overrides: Sequence[str],
    dry_run: bool,
    cluster: Any,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Measure how transferable the layers of a network are.

    The classes are divided, a network is trained on each part, its first layers are copied and trained on, kept or
    learning on, with the classes that they know and with the others. results.csv has the accuracy of every network,
    differences.csv what co-adaptation, specificity and transfer come to; fne report draws them. Every network is an
    ordinary one of fne train; what is up to date stays, what was interrupted goes on.

    \b
    Example: fne transfer configs/transfer-cifar10.toml --dry-run
             fne transfer configs/transfer-cifar10.toml
             fne report transfer-cifar10-results transfer.html --figures figures
    """
    from fne_cli.experiments.transfer.reading import read_transfer
    from fne_cli.experiments.transfer.run import outlook
    from fne_cli.experiments.transfer.run import transfer as run_transfer

    wanted = read_transfer(experiment, overrides, known_options())
    if dry_run:
        _print_outlook(outlook(wanted), as_json, overwrite)
        return
    done = run_transfer(wanted, overwrite=overwrite, cluster=cluster, progress=progress)
    click.echo(plain_json(done.results) if as_json else _summary(done.results))
    blocked = sum(failure.because for failure in done.failures)
    counts = {"trained": done.made, "up to date": done.up_to_date, "failed": len(done.failures) - blocked}
    said = ", ".join(f"{count} {what}" for what, count in (counts | {"not tried": blocked}).items() if count)
    progress.note(f"{sum(counts.values()) + blocked} networks: {said}; every figure is in {done.folder}/results.csv")
    for failure in done.failures:
        if not failure.because:
            progress.error(f"fne: {failure.job.output} failed: {failure.message}")
    if done.exit_code:
        sys.exit(done.exit_code)


def _print_outlook(found: Sequence[Any], as_json: bool, overwrite: bool) -> None:
    if as_json:
        rows = [{"output": str(one.job.output), "state": one.state, "seconds": one.seconds} for one in found]
        click.echo(plain_json({"plan": rows}))
    else:
        lines = [
            (one.state, str(one.job.output), "" if one.seconds is None else f"about {duration(one.seconds)}")
            for one in found
        ]
        click.echo(table(("", "network", "time"), lines))
        counts = Counter(one.state for one in found)
        seconds = [one.seconds for one in found if one.state != "up to date"]
        whole = "" if not seconds or None in seconds else f": about {duration(sum(seconds))}"
        click.echo(", ".join(f"{count} {state}" for state, count in counts.items()) + whole)
    if any(one.state == "changed" for one in found) and not overwrite:
        sys.exit(4)


def _summary(results: Mapping[str, Any]) -> str:
    """Accuracies by treatment, a column for each number of copied layers; then the differences."""
    blocks = [_means(results), _differences(results)]
    return "\n\n".join(block for block in blocks if block) or "no results"


def _means(results: Mapping[str, Any]) -> str:
    copied = sorted({one["copied"] for one in results["means"]})
    rows: dict[tuple[str, ...], dict[int, str]] = {}
    for one in results["means"]:
        key = (one["dataset"], one["network"], one["group"], _treated(one))
        spread = "" if one["low"] is None else f" +- {50 * (one['high'] - one['low']):.2f}"
        rows.setdefault(key, {})[one["copied"]] = f"{100 * one['accuracy']:.2f}{spread}"
    header = ("dataset", "network", "judged on", "accuracy, %", *(f"{count} copied" for count in copied))
    lines = [(*key, *(own.get(count, "") for count in copied)) for key, own in rows.items()]
    return table(header, lines) if lines else ""


def _differences(results: Mapping[str, Any]) -> str:
    copied = sorted({one["copied"] for one in results["differences"]})
    rows: dict[tuple[str, ...], dict[int, str]] = {}
    for one in results["differences"]:
        key = (one["dataset"], one["network"], one["group"], _treated(one, "measure"))
        spread = "" if one["low"] is None else f" +- {50 * (one['high'] - one['low']):.2f}"
        rows.setdefault(key, {})[one["copied"]] = f"{100 * one['difference']:+.2f}{spread}"
    header = ("dataset", "network", "judged on", "difference, points", *(f"{count} copied" for count in copied))
    lines = [(*key, *(own.get(count, "") for count in copied)) for key, own in rows.items()]
    return table(header, lines) if lines else ""


def _treated(one: Mapping[str, Any], key: str = "treatment") -> str:
    source = f", source {one['source']}" if one["source"] else ""
    few = "" if one["per_class"] is None else f", {one['per_class']} per class"
    return f"{one[key]}{source}{few}"
