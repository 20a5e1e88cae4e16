"""fne run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console, duration, table
from fne_cli.measures import MEASURES, RANK_MEASURES
from fne_cli.unprintable import plain_json

if TYPE_CHECKING:
    from fne_cli.experiments.run import Done, Outlook
    from fne_cli.experiments.written.config import Options

STEPS = ("split", "train", "extract", "normalize", "discretize", "analyze", "reduce", "rank", "evaluate", "tune")


@click.command(cls=options.Command)
@click.argument("experiment", metavar="CONFIG", type=options.FILE)
@click.option("--set", "overrides", metavar="TABLE.KEY=VALUE", multiple=True,
              help="In place of what CONFIG has: networks.vgg16.batch_size=32. May be given repeatedly.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what is up to date, what would be made, its size and its time.")
@options.cluster
@options.as_json
@options.overwrite
def run(
    progress: Console,
    experiment: Path,
    overrides: Sequence[str],
    dry_run: bool,
    cluster: Any,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Do all that an experiment compares, and put it into one table.

    CONFIG names datasets x networks x poolings x embeddings x protocols. What is up to date is left as it is, what was
    interrupted goes on, what fails is named at the end. Every file is an ordinary one, below the folder that CONFIG
    names; results.json and results.csv there have every figure, the embedding beside every single layer. fne config
    show CONFIG prints all that can be set.

    \b
    Example: fne run configs/digits.toml
             fne run configs/caltech101.toml --dry-run
             fne run configs/caltech101.toml --set datasets.caltech101.images=/data/101_ObjectCategories
    """
    from fne_cli.experiments.run import outlook
    from fne_cli.experiments.run import run as run_experiment
    from fne_cli.experiments.written.reading import read_experiment

    wanted = read_experiment(experiment, overrides, known_options())
    if dry_run:
        found = outlook(wanted, progress)
        _print_outlook(found, as_json, progress)
        states = {one.state for one in found}
        if code := 1 if "impossible" in states else 4 if "changed" in states and not overwrite else 0:
            sys.exit(code)
        return
    done = run_experiment(wanted, overwrite=overwrite, cluster=cluster, progress=progress)
    if as_json:
        click.echo(plain_json(done.results))
    else:
        click.echo(_summary(done.results))
        for text in (_optimised(done.results), _agreeing(done.results), _costs(done.results)):
            if text:
                click.echo(f"\n{text}")
    _tell(done, progress)
    if done.exit_code:
        sys.exit(done.exit_code)


def known_options() -> Options:
    """What the steps can be told, as their commands read it."""
    from fne_cli.experiments.written.config import Option

    found: dict[str, dict[str, Option]] = {}
    for name in STEPS:
        command: click.Command = getattr(importlib.import_module(f"fne_cli.cli.{name}"), name)
        context = click.Context(command, info_name=name)
        found[name] = {
            param.name: Option(_Reader(param, context), _default(param, context), max(param.opts, key=len))
            for param in command.params
            if isinstance(param, click.Option) and param.name
        }
    return found


def _default(param: click.Option, context: click.Context) -> Any:
    """The default as a step takes it, None if the step decides."""
    default = param.to_info_dict()["default"]
    return param.type.convert(default, param, context) if isinstance(default, str) else default


class _Reader:
    """From a value in TOML to that of a step."""

    def __init__(self, param: click.Option, context: click.Context) -> None:
        self._param, self._context = param, context

    def __call__(self, raw: Any) -> Any:
        kind = self._param.type
        if self._param.is_flag != isinstance(raw, bool):
            raise ValueError(f"should be {'true or false' if self._param.is_flag else kind.name}, found {raw!r}")
        if isinstance(raw, int) and abs(raw) >= 1 << 63:
            raise ValueError("should be a number of 64 bits, as TOML has them")
        if isinstance(raw, float) and isinstance(kind, click.types.IntParamType):
            raise ValueError(f"should be a whole number, found {raw!r}")
        if isinstance(raw, dict) or raw == "":
            raise ValueError(f"should be {kind.name}, found {raw!r}")
        try:
            return kind.convert(raw, self._param, self._context)
        except click.BadParameter as error:
            raise ValueError(error.message) from error
        except (TypeError, AttributeError) as error:  # click's own kinds know texts and numbers only
            raise ValueError(f"should be {kind.name}, found {raw!r}") from error


def _print_outlook(found: list[Outlook], as_json: bool, progress: Console) -> None:
    from fne_cli.experiments.run import Total

    if as_json:
        rows = [
            {"output": str(one.job.output), "command": one.job.command, "state": one.state, "detail": one.detail,
             "bytes": one.bytes, "seconds": one.seconds}
            for one in found
        ]  # fmt: skip
        click.echo(plain_json({"plan": rows}))
        return
    lines = [
        (
            one.state,
            str(one.job.output),
            one.size,
            "" if one.seconds is None else f"about {duration(one.seconds)}",
            "" if one.state == "impossible" else one.detail,
        )
        for one in found
    ]
    click.echo(table(("", "output", "size", "time", ""), lines))
    total = Total.of(found)
    took = f": {total.size}, about {duration(total.seconds)}; reading and writing is not counted"
    counts = ", ".join(f"{count} {state}" for state, count in total.counts.items())
    click.echo(f"{counts}{took if total.seconds else ''}")
    if "changed" in total.counts:
        progress.error(
            "fne: what was made by another command line is refused if that matters; --overwrite replaces it."
        )
    reasons = {one.detail: one.job.output for one in reversed(found) if one.state == "impossible" and one.detail}
    for detail, output in reversed(reasons.items()):
        progress.error(f"fne: {output} is impossible: {detail}")


def _summary(results: dict[str, Any]) -> str:
    """A line for each dataset, network, pooling and protocol: every embedding, and the best single layer."""
    from fne_cli.experiments.summed.results import summary

    lines = summary(results)
    if not lines:
        return "no results"
    names = list(dict.fromkeys(name for line in lines for name in line["embeddings"]))
    curve = any(line["per_class"] is not None for line in lines)
    layers = any(line["best_layer"] for line in lines)
    header = ("dataset", "network", "pooling", "protocol", *(("per class",) if curve else ()), "figure", *names)
    header += ("best single layer", "") if layers else ()
    rows = []
    for line in lines:
        figure, best = line["figure"], line["best_layer"]
        row = (line["dataset"], line["network"], line["pooling"], line["protocol"])
        row += (f"{line['per_class'] or ''}",) if curve else ()
        row += (MEASURES.get(figure, ""), *(_percent(line["embeddings"].get(name), figure) for name in names))
        row += (_percent(best, figure), best["name"] if best else "") if layers else ()
        rows.append(row)
    return table(header, rows)


def _optimised(results: dict[str, Any]) -> str:
    """Standard against optimised, a line for each dataset, the one nearest to the source first."""
    found = results.get("factors", {}).get("datasets", [])
    if not found:
        return ""
    header = (
        "dataset", "best settings", "standard", "optimised", "difference, points", "95 %", "fewer errors",
        "significant", "drop by depth", "evidence", "optimised setting",
    )  # fmt: skip
    rows = []
    for one in found:
        first, best = (one[name] or {} for name in ("standard", "optimised"))
        setting, usual = best.get("setting", {}), first.get("setting", {})
        apart = ", ".join(f"{key} {value}" for key, value in setting.items() if usual.get(key) != value != "-")
        low, high = one.get("difference_95", (None, None))
        rows.append((
            one["dataset"],
            f"{one['equal']:,} of {one['settings']:,}",
            _number(first.get("test"), 100, " %"),
            _number(best.get("test"), 100, " %"),
            _number(one.get("difference"), 100, sign="+"),
            "-" if low is None else f"{100 * low:+.2f} to {100 * high:+.2f}",
            _number(one.get("error_reduction"), 100, " %"),
            {True: "yes", False: "no"}.get(one.get("significant"), "-"),
            _number(one["drop"], 100),
            _number(one["evidence"]),
            apart or "the standard",
        ))  # fmt: skip
    return table(header, rows)


def _number(value: float | None, scale: float = 1, unit: str = "", sign: str = "") -> str:
    return "-" if value is None else f"{scale * value:{sign}.2f}{unit}"


def _agreeing(results: dict[str, Any]) -> str:
    """How the figures of fne rank agree with what was measured: weighted Kendall's tau."""
    rows = []
    for one in results.get("agreement", []):
        home = ", ".join(one[key] for key in ("dataset", "network", "pooling", "embedding", "protocol") if one.get(key))
        curve = "" if one["per_class"] is None else f", {one['per_class']} per class"
        rows.append(
            (f"{one['count']} {one['of']}: {home}{curve}", *(_number(one[measure]) for measure in RANK_MEASURES))
        )
    return table(("weighted tau with", *RANK_MEASURES.values()), rows) if rows else ""


def _costs(results: dict[str, Any]) -> str:
    """Seconds of a training, a line for each size: of the embeddings and the tunings, where there are tunings."""
    from fne_cli.experiments.summed.results import summary

    lines = [line for line in summary(results) if any("seconds" in row for row in line["embeddings"].values())]
    names = list(dict.fromkeys(name for line in lines for name in line["embeddings"]))
    header = ("dataset", "network", "protocol", "per class", *(f"{name}, s" for name in names))
    rows = [
        (
            *(line[key] for key in ("dataset", "network", "protocol")),
            f"{line['per_class'] or ''}",
            *(_number(line["embeddings"].get(name, {}).get("seconds")) for name in names),
        )
        for line in lines
    ]
    once: dict[str, float] = {}
    for line in lines:
        for name, row in line["embeddings"].items():
            once[name] = max(once.get(name, 0.0), row.get("seconds_once", 0.0))
    if once:
        rows.append(("all", "", "before, once", "", *(_number(once.get(name)) for name in names)))
    return table(header, rows) if rows else ""


def _percent(row: dict[str, Any] | None, figure: str | None) -> str:
    if row is None or figure is None:
        return "-"
    spread = row.get(f"{figure}_std")
    text = f"{100 * row[figure]:.2f} %" + ("" if spread is None else f" +- {100 * spread:.2f} %")
    missing = row.get("splits_missing", 0)
    return f"{text} ({row['splits']} of {row['splits'] + missing} splits)" if missing else text


def _tell(done: Done, progress: Console) -> None:
    """Say how it ended: on standard error, and the failures even with -q.

    They are told in full again: hours may lie between, and the end is what is read of a log.
    """
    blocked = sum(failure.because for failure in done.failures)
    failed = len(done.failures) - blocked
    counts = {"made": done.made, "up to date": done.up_to_date, "failed": failed, "not tried": blocked}
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    where = "results.csv" if "factors" not in done.results else "results.csv, settings.csv and effects.csv"
    figures = f"; every figure is in {done.folder / where}" if not failed else ""
    progress.note(f"{sum(counts.values())} steps: {said}{figures}")
    messages: dict[str, list[str]] = {}
    for failure in done.failures:
        if not failure.because:
            messages.setdefault(failure.message, []).append(str(failure.job.output))
    for message, outputs in messages.items():
        more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
        progress.error(f"fne: {outputs[0]}{more} failed: {message}")
    if blocked:
        progress.error(f"fne: {blocked} more need what failed. The same command goes on from here.")
    if done.kept:
        progress.error(f"fne: {done.folder}/results.json and .csv had more results than that, and stay as they were.")
