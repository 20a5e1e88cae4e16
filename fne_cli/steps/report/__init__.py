"""results -> one page for people, and the same figures as files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.figures.contents import Page
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.report import records
from fne_cli.steps.report.comparison import grouped, networks
from fne_cli.steps.report.facts import left_out
from fne_cli.steps.report.maps import map_views, numbers_of
from fne_cli.steps.report.sources import Sources, gather
from fne_cli.steps.report.tables import image_tables
from fne_cli.steps.report.transfers import transfer_tables
from fne_cli.steps.report.varied import agreements, costs, factor_tables
from fne_cli.steps.report.written.drawing import draw, drawings_of
from fne_cli.steps.report.written.standing import Made, check_name, is_standing, seal
from fne_cli.steps.report.written.typesetting import Typeset
from fne_cli.steps.report.wrong import Sought, matched, most_wrong
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.version import __version__

_NEEDED = {"jinja2": "Jinja2", "vl_convert": "vl-convert-python", "matplotlib": "matplotlib"}


@dataclass(frozen=True)
class Reported:
    """The page, and the folder of figures and the tables if there are any."""

    page: Path
    figures: Path | None
    up_to_date: bool = False
    tables: Sequence[Path] = ()


def report(
    results: Sequence[Path],
    page: Path,
    *,
    predictions: Sequence[Path] = (),
    activations: Sequence[Path] = (),
    maps: Sequence[Path] = (),
    images: str | None = None,
    root: str | None = None,
    title: str | None = None,
    figures: Path | None = None,
    figure_width: float | None = None,
    latex: Path | None = None,
    csv: Path | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Reported:
    """Make the page of some results of fne evaluate, fne run and fne transfer.

    predictions: files of fne evaluate, activations: activations or codes files; each is matched to its results by what
    it says of itself. maps: folders of fne map. images, root: where the images are, as fne extract takes them. Those of
    an experiment are found by themselves. figures: a folder for the charts as PNG, SVG and PDF; figure_width: inches.
    latex, csv: a file for the figures as a table.
    """
    check_name(page, results)
    asked = [Typeset(option, path) for option, path in (("latex", latex), ("csv", csv)) if path is not None]
    if figure_width is not None and figures is None:
        raise BadInput("--figure-width is the width of the figures of --figures. Give --figures FOLDER with it.")
    _check_installed(figures is not None)
    if root is not None and images is None:
        raise BadInput("--root says where the paths of a manifest start. Give --images with it.")
    sources = gather(results)
    if not sources.evaluated and not any(one.means for one in sources.transfers):
        cells = f" {sources.failed[0][0]}: {sources.failed[0][1]}" if sources.failed else ""
        raise BadInput(f"{results[0]} should have results to show. Found: none.{cells}")
    if asked and not sources.evaluated:
        raise BadInput(
            f"--{asked[0].option} makes a table of results of fne evaluate and fne run. Found: none in {results[0]}."
        )
    sought = Sought(predictions, images, root)
    content, bad = _collected(sources, activations, maps, sought, title, page)
    digest, recorded = _digests(content, bad)
    origin = Origin(
        "page",
        {"title": title, "images": images, "root": root},
        [{"kind": "results", "fingerprint": digest}],
        {
            "results": tuple(sources.paths),
            "predictions": tuple(predictions),
            "activations": tuple(activations),
            "maps": tuple(numbers_of(maps)),
        },
    )
    there = is_standing(page, digest, recorded, origin, overwrite, progress)
    drawings = None if figures is None else drawings_of(figures, content, digest, origin, figure_width)
    drawn = drawings is None or drawings.are_there(overwrite, "these results", SILENT if not there else progress)
    missing = [one for one in asked if not one.is_there(digest, origin, overwrite, SILENT if not there else progress)]
    tables = [one.path for one in asked]
    if there and drawn and not missing:
        return Reported(page, figures, up_to_date=True, tables=tables)
    if drawings is not None and not drawn:
        draw(drawings, content, figure_width, progress)
    for one in missing:
        one.write(content.groups, digest, origin)
    if not there:
        from fne_cli.figures.page import render

        with Output(page) as output:
            made = Made.of(digest, recorded, origin)
            output.into.write_bytes(seal(render(content, bad, made.unsealed), made))
            output.accept_noted({"fingerprint": digest, "records": recorded, **origin.noted_whole(page)})
    return Reported(page, figures, tables=tables)


def _check_installed(drawing: bool) -> None:
    for module, package in _NEEDED.items():
        if (drawing or module != "matplotlib") and importlib.util.find_spec(module) is None:
            raise BadInput(f"fne report needs {package}, which is not installed. pip install 'fne-cli[report]'")


def _collected(
    sources: Sources, activations: Sequence[Path], maps: Sequence[Path], sought: Sought, title: str | None, page: Path
) -> tuple[Page, int]:
    """What the page shows, and how many bad images the results count."""
    views = map_views(maps)
    tables = image_tables(sources.evaluated, activations)
    predictions = matched(sources.evaluated, sought.predictions)
    groups = []
    compared = grouped(sources.evaluated)
    for group, members in compared:
        wrong, name, notes = most_wrong(group, members, predictions, tables, sought)
        groups.append(replace(group, wrong=wrong, wrong_of=name, notes=notes))
    outputs = records.outputs(sources, [*activations, *numbers_of(maps)])
    named = [each.name for each in sources.whole if each.name]
    called = dict.fromkeys(group.network for group in groups if group.network)
    counts = [each.results.images.get("bad") for each in sources.evaluated]
    files = [*sources.paths, *numbers_of(maps)]
    content = Page(
        title=title or ", ".join(named) or f"Results of {', '.join(called) or 'fne evaluate'}",
        groups=groups,
        failed=sources.failed,
        bad=tables.bad,
        bad_unlisted=tables.bad_count - len(tables.bad),
        bad_known=all(str(each.results.path) in tables.of for each in sources.evaluated),
        timings=records.timings(outputs, page.parent),
        untimed=records.untimed(outputs, page.parent),
        commands=records.commands(sources, outputs),
        software=records.software(sources, outputs),
        files=[(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in dict.fromkeys(files)],
        notes=[*tables.notes, *left_out([each.results for each in sources.evaluated])],
        factors=factor_tables(sources.experiments),
        agreement=agreements(sources.experiments),
        costs=costs(sources.experiments),
        transfers=transfer_tables(sources.transfers),
        networks=networks(compared),
        maps=views,
    )
    return content, max((count for count in counts if type(count) is int), default=0)


def _digests(content: Page, bad: int) -> tuple[str, str]:
    """Of what the results files and options say, and of what only the run records beside them do."""
    told = replace(content, timings=(), untimed=(), commands=(), software=())
    seconds = [
        point.seconds for group in content.groups for row in group.rows for point in row.points.values()
    ]  # fmt: skip
    records = [content.timings, content.untimed, content.commands, content.software, seconds]
    found = [json.dumps(value).encode() for value in ([__version__, _plain(told), bad], _plain(records))]
    return hashlib.sha256(found[0]).hexdigest(), hashlib.sha256(found[1]).hexdigest()


def _plain(value: Any) -> Any:
    """A value of the page as JSON has it, without what only a run record says."""
    if is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in fields(value) if "recorded" not in field.metadata]
    if isinstance(value, Mapping):
        return [[key, _plain(one)] for key, one in value.items()]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
