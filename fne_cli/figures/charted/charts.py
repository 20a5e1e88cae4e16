"""Charts of a page as Vega-Lite specifications: data and encodings; colours are the style sheet's.

Names stand in data only, as texts that are drawn; no expression has any of them in it.
"""

from __future__ import annotations

import json
from typing import Any

from fne_cli.figures.contents import Group, Row, Size
from fne_cli.figures.names import distinct, shown
from fne_cli.measures import MEASURES

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"
# Custom properties of page.css, so that a chart follows the page into dark mode and onto paper.
WHOLES = tuple(f"var(--series-{number})" for number in range(1, 6))
BEST, REST, INK, QUIET, GRID = "var(--best)", "var(--rest)", "var(--ink)", "var(--quiet)", "var(--grid)"
CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": QUIET, "titleColor": QUIET, "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 12,
        "gridColor": GRID, "domainColor": GRID, "tickColor": GRID, "titlePadding": 8,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "labelLimit": 260, "symbolStrokeWidth": 2},
    "text": {"color": INK, "fontSize": 11},
}  # fmt: skip
_LONG_NETWORK = 40  # layers beyond which rows are closer


def specifications(group: Group) -> dict[str, dict[str, Any]]:
    """The charts that a group has, by name."""
    found = {"layers": by_layer(group), "curve": learning_curve(group), "confusion": confusion(group)}
    return {name: spec for name, spec in found.items() if spec is not None}


def as_script(value: Any) -> str:
    """JSON that may stand in an HTML script element: no character in it can end that."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _measured(row: Row, size: Size, figure: str) -> dict[str, float] | None:
    """Percent, and where the spread begins and ends."""
    point = row.points.get(size)
    if point is None or figure not in point.figures:
        return None
    value, spread = 100 * point.figures[figure], 100 * point.spreads.get(figure, 0.0)
    return {"value": round(value, 4), "low": round(value - spread, 4), "high": round(value + spread, 4)}


def _said(value: float, spread: float | None) -> str:
    return f"{value:.2f} %" if not spread else f"{value:.2f} ± {spread:.2f} %"


def _tip(row: Row, numbers: dict[str, float]) -> str:
    spread = numbers["high"] - numbers["value"]
    return f"{shown(row.name, 80)} ({shown(row.made, 60)}): {_said(numbers['value'], spread)}"


def by_layer(group: Group) -> dict[str, Any] | None:
    """Every single layer in the order of the network, the embeddings as lines beside them."""
    size, figure = group.sizes[-1], group.figure
    layers = [row for row in group.rows if not row.whole and _measured(row, size, figure)]
    if len(layers) < 2:
        return None
    names = list(dict.fromkeys(row.name for row in layers))
    place = {name: number for number, name in enumerate(names)}
    made = list(dict.fromkeys(row.made for row in layers))
    best = group.best_layer(size)
    dots, lines = [], []
    for row in layers:
        numbers = _measured(row, size, figure)
        assert numbers is not None
        dots.append(numbers | {"place": place[row.name], "made": made.index(row.made), "best": row is best,
                               "tip": _tip(row, numbers)})  # fmt: skip
    wholes = [(row, numbers) for row in group.rows if row.whole and (numbers := _measured(row, size, figure))]
    for number, (row, numbers) in enumerate(wholes):
        text = f"{shown(row.title, 40)} {numbers['value']:.2f} %"
        lines.append(numbers | {"text": text, "number": number, "tip": _tip(row, numbers)})
    x = {"field": "value", "type": "quantitative", "scale": {"zero": False, "nice": True},
         "title": f"{MEASURES[figure]}, %", "axis": {"tickCount": 6}}  # fmt: skip
    y = {"field": "place", "type": "ordinal", "title": None, "scale": {"domain": list(range(len(names)))},
         "axis": {"labelExpr": "names[datum.value]", "labelLimit": 0, "domain": False, "ticks": False,
                  "labelPadding": 10,  # a dot where the axis begins reaches over its end
                  "labelColor": INK, "grid": True, "gridDash": [1, 3]}}  # fmt: skip
    layered: list[dict[str, Any]] = []
    if lines:
        colour = {"field": "number", "type": "ordinal", "legend": None,
                  "scale": {"domain": list(range(len(WHOLES))), "range": list(WHOLES)}}  # fmt: skip
        # one label above another, so that those of two embeddings do not meet
        layered += [
            {"data": {"values": lines}, "mark": {"type": "rule", "strokeWidth": 1.5, "strokeDash": [5, 3]},
             "encoding": {"x": x, "color": colour, "tooltip": {"field": "tip"}}},
            *({"data": {"values": [line]}, "mark": {"type": "text", "align": "right", "dx": -4, "dy": -7 - 13 * number,
                                                    "baseline": "bottom", "fontWeight": 600},
               "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "text"}, "color": colour}}
              for number, line in enumerate(lines)),
        ]  # fmt: skip
    fill = {"condition": {"test": "datum.best", "value": BEST}, "value": REST}
    shape = {"field": "made", "type": "ordinal", "legend": None} if len(made) > 1 else {"value": "circle"}
    layered += [
        {"data": {"values": dots}, "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6},
         "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "color": fill}},
        {"data": {"values": dots}, "mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
         "encoding": {"x": x, "y": y, "color": fill, "shape": shape, "tooltip": {"field": "tip"}}},
    ]  # fmt: skip
    return {
        "$schema": SCHEMA,
        "description": f"{MEASURES[figure]} of every single layer, in the order of the network",
        "width": "container",
        "height": len(names) * (17 if len(names) <= _LONG_NETWORK else 13),
        "params": [{"name": "names", "value": distinct(names, 28)}],
        "layer": layered,
        "config": CONFIG,
    }


def learning_curve(group: Group) -> dict[str, Any] | None:
    """Figures over training images per class: the embeddings, the best layer at each size, all layers quietly."""
    figure, sizes = group.figure, [size for size in group.sizes if size]
    if len(sizes) < 2:
        return None
    wholes, best = [row for row in group.rows if row.whole], group.best_title()
    titles = [*(shown(row.title, 40) for row in wholes), *([shown(best, 40)] if best else [])]
    colours = [WHOLES[number % len(WHOLES)] for number in range(len(wholes))] + ([BEST] if best else [])
    named = len(titles)
    lines = [(wholes.index(row) if row.whole else named, dict.fromkeys(sizes, row)) for row in group.rows]
    lines += [(len(wholes), {size: row for size in sizes if (row := group.best_layer(size))})] if best else []
    values = []
    for number, (series, rows) in enumerate(lines):
        for size, row in rows.items():
            numbers = _measured(row, size, figure)
            if numbers is not None:
                values.append(numbers | {"size": size, "row": number, "series": series,
                                         "tip": f"{size} per class, {_tip(row, numbers)}"})  # fmt: skip
    if any(series == named for series, _ in lines):
        titles, colours = [*titles, "single layers"], [*colours, REST]
    x = {"field": "size", "type": "quantitative", "title": "training images per class (logarithmic)",
         "scale": {"type": "log", "domain": [sizes[0], sizes[-1]], "nice": False, "padding": 8},
         "axis": {"values": sizes, "grid": False, "format": "d", "labelOverlap": True}}  # fmt: skip
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False}, "title": f"{MEASURES[figure]}, %",
         "axis": {"tickCount": 6}}  # fmt: skip
    colour = {"field": "series", "type": "ordinal", "title": None,
              "scale": {"domain": list(range(len(titles))), "range": colours},
              "legend": {"orient": "top", "labelExpr": "titles[datum.value]", "symbolType": "stroke",
                         "symbolOpacity": 1, "columns": {"expr": "width < 420 ? 1 : 3"}}}  # fmt: skip
    quiet, loud = {"filter": f"datum.series >= {named}"}, {"filter": f"datum.series < {named}"}
    detail = {"field": "row"}
    return {
        "$schema": SCHEMA,
        "description": f"{MEASURES[figure]} by training images per class; the bands are standard deviations",
        "width": "container",
        "height": 320,
        "params": [{"name": "titles", "value": titles}],
        "data": {"values": values},
        "layer": [
            {"transform": [quiet], "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.45},
             "encoding": {"x": x, "y": y, "color": colour, "detail": detail}},
            {"transform": [quiet], "mark": {"type": "point", "filled": True, "opacity": 0, "size": 80},
             "encoding": {"x": x, "y": y, "tooltip": {"field": "tip"}}},
            {"transform": [loud], "mark": {"type": "area", "opacity": 0.18},
             "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour,
                          "detail": detail}},
            {"transform": [loud], "mark": {"type": "line", "strokeWidth": 2},
             "encoding": {"x": x, "y": y, "color": colour, "detail": detail}},
            {"transform": [loud], "mark": {"type": "point", "filled": True, "opacity": 1, "size": 50},
             "encoding": {"x": x, "y": y, "color": colour, "tooltip": {"field": "tip"}}},
        ],
        "config": CONFIG,
    }  # fmt: skip


def confusion(group: Group) -> dict[str, Any] | None:
    """The matrix without its cells, and beside the specification ("views") the cells of every view, as [true, said, n].

    page.js puts them in, in the order and of the size that the reader chooses.
    """
    if group.confusion is None:
        return None
    chosen = list(group.confusion.chosen)
    views = []
    for view in group.views:
        if view.confusion is None:
            continue
        part = view.confusion[chosen][:, chosen]
        rows, columns = part.nonzero()
        cells = [[chosen[r], chosen[c], int(part[r, c])] for r, c in zip(rows.tolist(), columns.tolist(), strict=True)]
        total = view.confusion.sum(axis=1)
        right = {number: float(view.confusion[number, number]) / max(1, int(total[number])) for number in chosen}
        hard = sorted(chosen, key=lambda number: (right[number], number))
        views.append({"title": shown(view.row.title, 40), "cells": cells, "hard": hard,
                      "totals": {str(number): int(total[number]) for number in chosen}})  # fmt: skip
    axis = {"labelExpr": "names[datum.value]", "title": None, "domain": False, "ticks": False, "labelColor": INK,
            "labelLimit": 0, "labelOverlap": False, "labelPadding": 3}  # fmt: skip
    encoding = {
        "y": {"field": "t", "type": "ordinal", "axis": axis | {"title": "true class"}, "scale": {"paddingInner": 0.08}},
        "x": {"field": "p", "type": "ordinal", "scale": {"paddingInner": 0.08},
              "axis": axis | {"orient": "top", "labelAngle": -90, "title": "classified as"}},
    }  # fmt: skip
    return {
        "spec": {
            "$schema": SCHEMA,
            "description": "Confusion matrix: rows are true classes, columns what the images were classified as",
            "autosize": {"type": "pad"},
            "params": [{"name": "names", "value": distinct(group.classes, 24)}],
            "encoding": encoding,
            "layer": [
                {"mark": {"type": "rect", "cornerRadius": 1},
                 "encoding": {"color": {"condition": {"test": "datum.t == datum.p", "value": "var(--right)"},
                                        "value": "var(--wrong)"},
                              "opacity": {"field": "shade", "type": "quantitative", "legend": None,
                                          "scale": {"domain": [0, 1], "range": [0, 1]}},
                              "tooltip": {"field": "tip"}}},
            ],
            "config": CONFIG,
        },
        "names": distinct(group.classes, 60),
        "alike": list(group.confusion.alike),
        "given": chosen,
        "views": views,
    }  # fmt: skip
