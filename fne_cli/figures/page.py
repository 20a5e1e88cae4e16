"""The page of fne report: one HTML file that holds everything it needs and may load nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

from fne_cli.figures.charts import as_script, specifications
from fne_cli.figures.contents import CLOSE, Group, Page, Row, Size, Verdict
from fne_cli.figures.differences import interval, p_value, signed, tested
from fne_cli.figures.factors import chart
from fne_cli.figures.headings import LENGTH, headings
from fne_cli.figures.names import shown
from fne_cli.figures.overview import overview
from fne_cli.figures.published import NAME
from fne_cli.figures.templating import environment, packaged, source_of
from fne_cli.figures.transfer import charts_of
from fne_cli.measures import MEASURES, RANK_MEASURES
from fne_cli.version import __version__

_VEGA_LITE = "6.4"
_LONG = 60  # rows beyond which a table scrolls in a box of its own


def render(page: Page, bad_counted: int = 0) -> bytes:
    """The page as UTF-8. bad_counted: how many bad images the results count, where they are not listed."""
    made = environment()
    made.filters |= {
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
    charts |= effects | transfers
    style, script = packaged("page.css"), packaged("page.js")
    library = _library() if charts else "const vegaEmbed = null;"
    policy = (
        f"default-src 'none'; script-src {source_of(library)} {source_of(script)}; style-src {source_of(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    html = made.get_template("page.html").render(
        page=page,
        groups=views,
        overview=overview(page.groups),
        statements=[_statements(view) for view in views],
        lead=_lead(page),
        effects=effects,
        transfer_charts=transfers,
        published=NAME,
        measures=RANK_MEASURES,
        bad_counted=bad_counted,
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
        last, rows = group.sizes[-1], [row for row in group.rows if group.sizes[-1] in row.points]
        points = [row.points[last] for row in rows]
        self.verdicts: Sequence[Verdict] = group.verdicts
        self.rows: Sequence[Row] = group.rows
        self.best = [verdict.best for verdict in group.verdicts if verdict.size == last]
        # what the embeddings are measured by stands next to them, however many layers there are
        self.table = sorted(group.rows, key=lambda row: (not row.whole, row not in self.best))
        self.figure = group.figure
        self.charts: Mapping[str, Any] = specifications(group)
        self.wholes = sum(row.whole for row in group.rows)
        self.trials = max((point.trials for row in group.rows for point in row.points.values()), default=1)
        self.figures = [name for name in MEASURES if any(name in point.figures for point in points)]
        self.intervals = any(point.interval for point in points)
        self.tested_once = any(one.p is not None for one in group.differences)
        self.costs = group.chosen or len({tuple(_costs(row)) for row in group.rows}) > 1
        values = group.views[0].values if group.views else []
        known = [place for place, value in enumerate(values) if value is not None]
        self.hardest = sorted(known, key=lambda place: (values[place], place))
        self.hardest += [place for place, value in enumerate(values) if value is None]


def _costs(row: Row) -> list[float]:
    """Those of all sizes, so that a learning curve has one column of them, too."""
    return sorted({cost for point in row.points.values() for cost in point.costs})


def _statements(view: _View) -> list[Markup]:
    """Whether each embedding beats the best single layer, and by how much, in plain sentences."""
    found, alone = [], []
    for whole in (row for row in view.rows if row.whole):
        verdicts = [verdict for verdict in view.verdicts if verdict.row is whole]
        if verdicts:
            found.append(_single(view, verdicts[0]) if len(verdicts) == 1 else _curve(verdicts))
        elif (said := _reached(view, [whole])) is not None:
            alone.append(said)
    if alone:
        alone[-1] += f" No single layer was measured beside {'it' if len(alone) == 1 else 'them'}."
    found += alone
    if not found and (said := _reached(view, view.rows)) is not None:
        found.append(said + " No embedding was measured beside it.")
    return found


def _reached(view: _View, rows: Sequence[Row]) -> Markup | None:
    """What the best of these rows reaches, at the size where it does; None without a figure."""
    values = [(point.figures[view.figure], row, size) for row in rows for size, point in row.points.items()
              if view.figure in point.figures]  # fmt: skip
    if not values:
        return None
    value, row, size = max(values, key=lambda one: one[0])
    who = _whole(row) if row.whole else Markup("The best single layer, %s,") % _name(row.name)
    said = Markup("%s reaches <b>%s %%</b> %s%s.")
    return said % (who, _percent(value), MEASURES[view.figure], _of_size(size))


def _of_size(size: Size) -> str:
    return f" with {size} training images per class" if size else ""


def _single(view: _View, verdict: Verdict) -> Markup:
    difference, name = verdict.difference, _name(verdict.best.name)
    reached = Markup("%s reaches <b>%s %%</b> %s%s, ") % (
        _whole(verdict.row), _percent(verdict.value), MEASURES[view.figure],
        _of_size(verdict.size))  # fmt: skip
    rival = Markup("the best single layer, %s (%s&nbsp;%%)") % (name, _percent(verdict.best_value))
    if abs(difference) < CLOSE:
        return reached + Markup("exactly as much as %s.") % rival
    way = "above" if difference > 0 else "below"
    said = reached + Markup('<span class="%s">%s %s</span> %s.') % (verdict.side, _points(difference), way, rival)
    if verdict.paired is not None:
        said += f" {tested(verdict.paired)}"
    elif verdict.spread is not None and abs(difference) < verdict.spread:
        said += " The difference is smaller than the standard deviation over the trials."
    elif verdict.overlap:
        said += " Their 95 % intervals overlap."
    return said


def _curve(verdicts: Sequence[Verdict]) -> Markup:
    """For several sizes of training sets: where it is above, and where not."""
    above = [verdict for verdict in verdicts if verdict.difference > CLOSE]
    below = [verdict for verdict in verdicts if verdict.difference < -CLOSE]
    equal = [verdict for verdict in verdicts if abs(verdict.difference) <= CLOSE]
    parts: list[Markup] = []
    for some, text in ((above, "beats the best single layer"), (below, "falls behind it"), (equal, "equals it")):
        if some:
            by_how_much = [abs(verdict.difference) for verdict in some]
            least, most = (f"{100 * value:.2f}" for value in (min(by_how_much), max(by_how_much)))
            by = (
                "" if some is equal else f" (by {least} points)" if least == most else f" (by {least} to {most} points)"
            )
            sizes = _listed([str(verdict.size) for verdict in some])
            verb = text if parts else text.replace(" it", " the best single layer")  # the first names it
            per = "" if parts else " training images per class"
            mark = next((verdict.side for verdict in some if verdict.side != "quiet"), "quiet")
            parts.append(Markup('<span class="%s">%s</span> at %s%s%s') % (mark, verb, sizes, per, by))
    who = _whole(verdicts[0].row)
    said = Markup("%s %s.") % (who, Markup(" and ").join(parts))
    unclear = [verdict for verdict in verdicts if verdict.unclear]
    by_chance = [str(verdict.size) for verdict in unclear if verdict.paired]
    within = [str(verdict.size) for verdict in unclear if not verdict.paired and verdict.spread]
    if by_chance:
        said += f" At {_listed(by_chance)} the difference is not significant."
    if within:
        said += f" At {_listed(within)} the difference is smaller than the standard deviation over the draws."
    return said


def _whole(row: Row) -> Markup:
    if row.name == "embedding":
        return Markup("The %s") % _name(row.title)
    return Markup("The embedding %s") % _name(row.title)


def _listed(words: Sequence[str]) -> str:
    """1, 2 and 5."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


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


def _name(text: str) -> Markup:
    return Markup("<bdi>%s</bdi>") % shown(text, 40)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _points(value: float) -> Markup:
    return Markup("%s&nbsp;points") % f"{100 * abs(value):.2f}"


@cache
def _library() -> str:
    """Vega-Lite and all it needs, as a script that leaves vegaEmbed behind."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    if "</script" in bundle.lower() or "<!--" in bundle:
        raise RuntimeError("the chart library would end the script element that holds it")
    return f"/*\n{packaged('licenses.txt')}*/\n(() => {{{bundle}\n}})();"
