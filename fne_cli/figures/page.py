"""The page of fne report: one HTML file that holds everything it needs and may load nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

from fne_cli.figures.charted import across
from fne_cli.figures.charted.charts import as_script, specifications
from fne_cli.figures.charted.factors import chart
from fne_cli.figures.charted.transfer import charts_of
from fne_cli.figures.contents import Group, Page, Row
from fne_cli.figures.differences import interval, p_value, signed
from fne_cli.figures.headings import LENGTH, headings
from fne_cli.figures.names import shown
from fne_cli.figures.published import NAME
from fne_cli.figures.statements import statements
from fne_cli.figures.tables.layers import layer_tables
from fne_cli.figures.tables.overview import overview
from fne_cli.figures.templating import environment, packaged, source_of
from fne_cli.measures import MEASURES, RANK_MEASURES
from fne_cli.version import __version__

_VEGA_LITE = "6.4"
_LONG = 60  # rows beyond which a table scrolls in a box of its own


def render(page: Page, bad_counted: int = 0, made: str = "") -> bytes:
    """The page as UTF-8. bad_counted: how many bad images the results count, where they are not listed.

    made: what its head says of what it was made from.
    """
    templates = environment()
    templates.filters |= {
        "costs": _costs,
        "points": signed,
        "interval": interval,
        "p_value": p_value,
    }
    views = [_View(group, heading) for group, heading in zip(page.groups, headings(page.groups), strict=True)]
    charts = {f"{number}-{name}": spec for number, view in enumerate(views, 1) for name, spec in view.charts.items()}
    effects = {f"effects-{number}": spec for number, one in enumerate(page.factors, 1) if (spec := chart(one))}
    transfers = {
        f"transfer-{number}-{place}-{kind}": spec
        for number, table in enumerate(page.transfers, 1)
        for place, panel in enumerate(table.panels, 1)
        for kind, spec in charts_of(panel).items()
        if len(panel.means) > 1
    }
    beside = {f"across-{name}": spec for name, spec in across.charts(page.groups).items()}
    charts |= effects | transfers | beside
    layers = layer_tables(page.groups)
    once = {number for one in layers for number, _, _ in one.homes}
    style, script = packaged("page.css"), packaged("page.js") + packaged("copying.js")
    library = _library() if charts else "const vegaEmbed = null;"
    policy = (
        f"default-src 'none'; script-src {source_of(library)} {source_of(script)}; style-src {source_of(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    html = templates.get_template("page.html").render(
        page=page,
        groups=views,
        overview=overview(page.groups),
        across=list(beside),
        layer_tables=layers,
        once=once,
        statements=[statements(group) for group in page.groups],
        lead=_lead(page),
        effects=effects,
        transfer_charts=transfers,
        published=NAME,
        measures=RANK_MEASURES,
        bad_counted=bad_counted,
        made=made,
        titles=MEASURES,
        long=_LONG,
        length=LENGTH,
        version=__version__,
        vega=_VEGA_LITE,
        policy=policy,
        style=Markup(style),  # noqa: S704  # our own files, and JSON that cannot end its element
        script=Markup(script),  # noqa: S704  # as above
        library=Markup(library),  # noqa: S704  # as above
        charts=Markup(as_script(charts)),  # noqa: S704  # as above
    )
    return html.encode("utf-8", "backslashreplace")


class _View:
    """A group, and what the template asks of it."""

    def __init__(self, group: Group, heading: Sequence[str]) -> None:
        for field in dataclasses.fields(group):
            setattr(self, field.name, getattr(group, field.name))
        self.heading = heading
        points = [row.points[group.sizes[-1]] for row in group.rows if group.sizes[-1] in row.points]
        # what the embeddings are measured by stands next to them, however many layers there are
        told = [(row, _tag(group, row)) for row in group.rows]
        self.table = sorted(told, key=lambda one: (not one[0].whole, not one[1]))
        self.few = [(row, tag) for row, tag in self.table if row.whole or tag]
        self.tagged = any(tag for _, tag in told)
        self.leaders = {size: group.best_layer(size) for size in group.sizes}
        self.charts: Mapping[str, Any] = specifications(group)
        self.wholes = sum(row.whole for row in group.rows)
        self.trials = max((point.trials for row in group.rows for point in row.points.values()), default=1)
        self.figures = [name for name in MEASURES if any(name in point.figures for point in points)]
        self.intervals = any(point.interval for point in points)
        self.tested_once = any(one.only_first is not None for one in group.differences)
        self.costs = group.chosen or len({tuple(_costs(row)) for row in group.rows}) > 1
        values = group.views[0].values if group.views else []
        known = [place for place, value in enumerate(values) if value is not None]
        self.hardest = sorted(known, key=lambda place: (values[place], place))
        self.hardest += [place for place, value in enumerate(values) if value is None]


def _tag(group: Group, row: Row) -> str:
    """What stands behind the name of a layer that is the best one, at some size or at all."""
    sizes = group.best_at(row)
    if not sizes or len(sizes) == len(group.sizes):
        return "best layer" if sizes else ""
    return f"best layer at {', '.join(str(size or 'all') for size in sizes)}"


def _costs(row: Row) -> list[float]:
    """Those of all sizes, so that a learning curve has one column of them, too."""
    return sorted({cost for point in row.points.values() for cost in point.costs})


def _lead(page: Page) -> str:
    """What was measured, in one line."""
    networks = list(dict.fromkeys(group.network for group in page.groups if group.network))
    datasets = list(dict.fromkeys(group.dataset for group in page.groups if group.dataset))
    parts = []
    for names, word in ((datasets, "dataset"), (networks, "network")):
        if names:
            few = ", ".join(shown(name, 32) for name in names[:6]) + (", …" if len(names) > 6 else "")
            parts.append(f"{word}{'s' if len(names) > 1 else ''} {few}")
    what = "How transferable layers are" if page.transfers else ""
    what = " and ".join(filter(None, ["Full-network embeddings beside single layers" if page.groups else "", what]))
    return what + (f": {'; '.join(parts)}." if parts else ".")


@cache
def _library() -> str:
    """Vega-Lite and all it needs, as a script that leaves vegaEmbed behind."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    if "</script" in bundle.lower() or "<!--" in bundle:
        raise RuntimeError("the chart library would end the script element that holds it")
    return f"/*\n{packaged('licenses.txt')}*/\n(() => {{{bundle}\n}})();"
