"""Charts across networks, datasets and protocols: accuracy with intervals, and accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fne_cli.figures.charted.charts import BEST, CONFIG, INK, REST, SCHEMA, WHOLES
from fne_cli.figures.contents import Group, Point
from fne_cli.figures.names import distinct, shown
from fne_cli.measures import MEASURES

BEST_TITLE, LAYERS_TITLE = "best layer", "single layers"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_APART = 100  # Vega-Lite makes one legend of two scales whose domains are equal


@dataclass(frozen=True)
class Mark:
    """What a row reached. where: which measurement that is. series: the embedding, or that it is a layer.

    low, high: its 95 % interval, or a standard deviation to each side. last: whether at the last size of its group.
    """

    where: str
    home: str
    series: str
    name: str
    features: int
    seconds: float | None
    value: float
    low: float
    high: float
    measure: str
    last: bool

    @property
    def tip(self) -> str:
        """All of it in a line."""
        took = "" if self.seconds is None else f", {self.seconds:.2f} s"
        return (f"{shown(self.name, 60)}, {self.where}: {100 * self.value:.2f} % ({100 * self.low:.2f} to "
                f"{100 * self.high:.2f}), {self.features:,} features{took}")  # fmt: skip


def marks(groups: Sequence[Group]) -> list[Mark]:
    """The embeddings and the best layer at every size; and at the last size of each group every other layer."""
    named = _named(groups)
    found = []
    for group, (home, told) in zip(groups, named, strict=True):
        for size in group.sizes:
            where = ", ".join([*told, *([f"{size} per class"] if size else [])]) or group.protocol
            best, last = group.best_layer(size), size == group.sizes[-1]
            for row in group.rows:
                point = row.points.get(size)
                if point is not None and group.figure in point.figures and (row.whole or row is best or last):
                    series = row.title if row.whole else BEST_TITLE if row is best else LAYERS_TITLE
                    name = row.title if row.whole or row is not best else f"{row.name}, {BEST_TITLE}"
                    found.append(_mark(point, group.figure, (where, home, series, name), row.features, last))
    return found


def _mark(point: Point, figure: str, names: tuple[str, str, str, str], features: int, last: bool) -> Mark:
    value, spread = point.figures[figure], point.spreads.get(figure, 0.0)
    low, high = point.interval or (max(0.0, value - spread), min(1.0, value + spread))
    return Mark(*names, features, point.seconds, value, low, high, MEASURES[figure], last)


def _named(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """What tells each group from the others: its dataset and network, and with them its protocol if need be."""
    curves = [len(group.sizes) > 1 or group.sizes[0] is not None for group in groups]
    parts = []
    for group, curve in zip(groups, curves, strict=True):
        alike = {one.protocol for one, other in zip(groups, curves, strict=True) if other == curve}
        parts.append((group.dataset, group.network, group.pooling, group.protocol if len(alike) > 1 else ""))
    told = [place for place in range(4) if len({part[place] for part in parts}) > 1]
    names = [[part[place] for place in told if part[place]] for part in parts]
    return [
        (", ".join(part[place] for place in told if place < 3), name) for part, name in zip(parts, names, strict=True)
    ]


def series_of(found: Sequence[Mark]) -> list[str]:
    """The embeddings, then the layers."""
    wholes = list(dict.fromkeys(one.series for one in found if one.series not in (BEST_TITLE, LAYERS_TITLE)))
    return [*wholes, *(title for title in (BEST_TITLE, LAYERS_TITLE) if any(one.series == title for one in found))]


def _colours(series: Sequence[str]) -> list[str]:
    own = {BEST_TITLE: BEST, LAYERS_TITLE: REST}
    return [own.get(title, WHOLES[place % len(WHOLES)]) for place, title in enumerate(series)]


def compared(groups: Sequence[Group]) -> dict[str, list[Mark]]:
    """What each chart shows, by its name: accuracy, features, seconds; those with nothing to compare are left out.

    accuracy: of several measurements, without the single layers. The others: of the largest size of each.
    """
    found = marks(groups)
    few, last = [one for one in found if one.series != LAYERS_TITLE], [one for one in found if one.last]
    timed = [one for one in last if one.seconds]
    shows = {
        "accuracy": few if len({one.where for one in few}) > 1 else [],
        "features": last if len({one.features for one in last}) > 1 else [],
        "seconds": timed if len({one.seconds for one in timed}) > 1 else [],
    }
    return {name: some for name, some in shows.items() if some}


def charts(groups: Sequence[Group]) -> dict[str, dict[str, Any]]:
    """The same as Vega-Lite specifications."""
    made = {}
    for name, found in compared(groups).items():
        if name == "accuracy":
            made[name] = _accuracy(found)
        elif name == "features":
            made[name] = _cost(found, name, "features (logarithmic)", ",d", lambda one: one.features)
        else:
            title = "seconds of a training and its measurement (logarithmic)"
            made[name] = _cost(found, name, title, "~g", lambda one: one.seconds or 0.0)
    return made


def _accuracy(found: Sequence[Mark]) -> dict[str, Any]:
    """A row for each measurement; a dot for each embedding and the best layer, with its interval or spread."""
    series, rows = series_of(found), list(dict.fromkeys(one.where for one in found))
    values = [
        {"place": rows.index(one.where), "series": series.index(one.series), "value": round(100 * one.value, 4),
         "low": round(100 * one.low, 4), "high": round(100 * one.high, 4), "tip": one.tip}
        for one in found
    ]  # fmt: skip
    measures = ", ".join(dict.fromkeys(one.measure for one in found))
    x = {"field": "value", "type": "quantitative", "title": f"{measures}, %", "scale": {"zero": False},
         "axis": {"tickCount": 6}}  # fmt: skip
    y = {"field": "place", "type": "ordinal", "title": None, "scale": {"domain": list(range(len(rows)))},
         "axis": {"labelExpr": "names[datum.value]", "labelLimit": 0, "domain": False, "ticks": False,
                  "labelColor": INK, "grid": True, "gridDash": [1, 3]}}  # fmt: skip
    colour = _colour(series)
    shift = {"field": "series", "type": "ordinal", "scale": {"domain": list(range(len(series)))}}
    return {
        "$schema": SCHEMA,
        "description": f"{measures} of every embedding and the best layer, for each dataset, network and protocol",
        "width": "container",
        "height": len(rows) * (10 + 8 * len(series)),
        "params": [{"name": "names", "value": distinct(rows, 34)}, {"name": "titles", "value": distinct(series, 32)}],
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6},
             "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "yOffset": shift,
                          "color": colour}},
            {"mark": {"type": "point", "filled": True, "opacity": 1, "size": 50},
             "encoding": {"x": x, "y": y, "yOffset": shift, "color": colour, "tooltip": {"field": "tip"}}},
        ],
        "config": CONFIG,
    }  # fmt: skip


def _cost(found: Sequence[Mark], name: str, title: str, form: str, cost: Callable[[Mark], float]) -> dict[str, Any]:
    """A dot for each row by its cost; the shape is the dataset and network."""
    series, homes = series_of(found), list(dict.fromkeys(one.home for one in found))
    values = [
        {"cost": cost(one), "value": round(100 * one.value, 4), "series": series.index(one.series), "tip": one.tip,
         "home": _APART + homes.index(one.home) % len(_SHAPES)}
        for one in sorted(found, key=lambda one: -series.index(one.series))
    ]  # fmt: skip
    measures = ", ".join(dict.fromkeys(one.measure for one in found))
    shape: dict[str, Any] = {"value": "circle"}
    if len(homes) > 1:
        shown_homes = distinct(homes[: len(_SHAPES)], 32)
        shape = {"field": "home", "type": "nominal", "title": None,
                 "scale": {"domain": [_APART + place for place in range(len(shown_homes))],
                           "range": list(_SHAPES[: len(shown_homes)])},
                 "legend": None if len(homes) > len(_SHAPES) else {
                     "orient": "top", "labelExpr": f"homes[datum.value - {_APART}]", "symbolFillColor": INK,
                     "symbolStrokeColor": INK, "columns": {"expr": "width < 420 ? 1 : 3"}}}  # fmt: skip
    params = [{"name": "titles", "value": distinct(series, 32)}, {"name": "homes", "value": distinct(homes, 32)}]
    return {
        "$schema": SCHEMA,
        "description": f"{measures} of embeddings and layers against {name}",
        "width": "container",
        "height": 300,
        "params": params,
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "opacity": 0.9, "size": 60},
        "encoding": {
            "x": {"field": "cost", "type": "quantitative", "title": title, "scale": {"type": "log", "nice": False,
                  "padding": 12}, "axis": {"grid": False, "tickCount": 5, "labelOverlap": True, "format": form}},
            "y": {"field": "value", "type": "quantitative", "scale": {"zero": False}, "title": f"{measures}, %",
                  "axis": {"tickCount": 6}},
            "color": _colour(series), "shape": shape, "tooltip": {"field": "tip"},
        },
        "config": CONFIG,
    }  # fmt: skip


def _colour(series: Sequence[str]) -> dict[str, Any]:
    return {"field": "series", "type": "ordinal", "title": None,
            "scale": {"domain": list(range(len(series))), "range": _colours(series)},
            "legend": {"orient": "top", "labelExpr": "titles[datum.value]", "symbolType": "circle",
                       "symbolOpacity": 1, "columns": {"expr": "width < 420 ? 1 : 3"}}}  # fmt: skip
