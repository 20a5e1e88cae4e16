"""How accuracy goes with the number of copied layers, and what it comes to, as charts of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fne_cli.figures import published
from fne_cli.figures.charted.charts import CONFIG, QUIET, SCHEMA, WHOLES
from fne_cli.figures.experiments import TransferPanel, TransferTable

TREATMENTS = ("base", "BnB", "BnB+", "AnB", "AnB+", "random")
MEASURES = ("co-adaptation", "specificity", "transfer gain", "random features")
SAID = {
    "base": "base: trained alone",
    "BnB": "BnB: own layers, kept",
    "BnB+": "BnB+: own layers, learning on",
    "AnB": "AnB: layers of the other classes, kept",
    "AnB+": "AnB+: layers of the other classes, learning on",
    "random": "random layers, kept",
}
"""What a legend calls the treatments."""
FORMULAS = {
    "co-adaptation": "base − BnB",
    "specificity": "BnB − AnB",
    "transfer gain": "AnB+ − BnB+",
    "random features": "base − random",
}
_COLOURS = (QUIET, *WHOLES)
_SHAPES = ("circle", "circle", "triangle-up", "square", "diamond", "cross")


def main_panels(table: TransferTable) -> list[TransferPanel]:
    """Those with all training images and the usual source, which figures show."""
    return [panel for panel in table.panels if not panel.variant and len(panel.means) > 1]


def charts_of(panel: TransferPanel) -> dict[str, dict[str, Any]]:
    """The charts of a panel, by name."""
    found = {"accuracy": accuracies(panel)}
    return found | ({"decomposition": decomposition(panel)} if _gaps(panel) else {})


def accuracies(panel: TransferPanel) -> dict[str, Any]:
    """Accuracy by copied layers, a line for each treatment; single runs as small points; the paper's in grey."""
    means, singles = [], []
    for one in panel.means:
        place = TREATMENTS.index(one.treatment)
        value = 100 * one.value
        said = f"{SAID[one.treatment]}, {one.copied} layers: {value:.2f} %, {one.count} runs"
        means.append({"n": one.copied, "value": round(value, 4), "what": place, "tip": said})
        singles += [{"n": one.copied, "value": round(100 * single, 4), "what": place} for single in one.singles]
    paper = [
        {"n": copied, "value": 100 * value, "line": name, "tip": f"{published.NAME}: {name}, {100 * value:.2f} %"}
        for name, row in published.ACCURACIES.items()
        if name in ("BnB", "BnB+", "AnB", "AnB+")
        for copied, value in row.items()
    ]
    x = {"field": "n", "type": "quantitative", "title": "copied weight layers", "axis": {"tickMinStep": 1}}
    y = {"field": "value", "type": "quantitative", "title": "accuracy on test images, %", "scale": {"zero": False}}
    places = list(range(len(TREATMENTS)))
    colour = {
        "field": "what", "type": "ordinal", "scale": {"domain": places, "range": list(_COLOURS)},
        "legend": {"orient": "top", "title": None, "columns": 2, "labelExpr": "said[datum.value]"},
    }  # fmt: skip
    shape = {"field": "what", "type": "ordinal", "scale": {"domain": places, "range": list(_SHAPES)}, "legend": None}
    grey = {"value": QUIET}
    return {
        "$schema": SCHEMA,
        "description": "Accuracy by the number of copied layers, for each treatment",
        "width": "container",
        "height": 320,
        "params": [{"name": "said", "value": [SAID[name] for name in TREATMENTS]}],
        "layer": [
            {"data": {"values": paper}, "mark": {"type": "line", "strokeDash": [3, 3], "opacity": 0.5, "point": False},
             "encoding": {"x": x, "y": y, "detail": {"field": "line"}, "color": grey, "tooltip": {"field": "tip"}}},
            {"data": {"values": singles}, "mark": {"type": "point", "opacity": 0.35, "size": 14, "filled": True},
             "encoding": {"x": x, "y": y, "color": colour}},
            {"data": {"values": means}, "mark": {"type": "line"},
             "encoding": {"x": x, "y": y, "color": colour}},
            {"data": {"values": means}, "mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
             "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "tooltip": {"field": "tip"}}},
        ],
        "config": CONFIG,
    }  # fmt: skip


def decomposition(panel: TransferPanel) -> dict[str, Any]:
    """Points lost and gained, a line for each measure with its 95 % interval; the paper's in grey."""
    values = []
    for one in _gaps(panel):
        value = 100 * one.value
        known = one.low is not None and one.high is not None
        low, high = (100 * one.low, 100 * one.high) if one.low is not None and one.high is not None else (value, value)
        interval = f", 95 % {low:+.2f} to {high:+.2f}" if known else ""
        values.append({
            "n": one.copied, "value": round(value, 4), "low": round(low, 4), "high": round(high, 4),
            "what": MEASURES.index(one.measure),
            "tip": f"{one.measure}, {one.copied} layers: {value:+.2f} points{interval}, {one.count} pairs",
        })  # fmt: skip
    paper = [
        {"n": copied, "value": round(100 * value, 4), "what": MEASURES.index(name),
         "tip": f"{published.NAME}: {name}, {100 * value:+.2f} points"}
        for name, row in published.differences().items()
        if name != "random features"
        for copied, value in row.items()
    ]  # fmt: skip
    x = {"field": "n", "type": "quantitative", "title": "copied weight layers", "axis": {"tickMinStep": 1}}
    y = {"field": "value", "type": "quantitative", "title": "points of accuracy"}
    colour = {
        "field": "what", "type": "ordinal",
        "scale": {"domain": list(range(len(MEASURES))), "range": [*WHOLES[:3], QUIET]},
        "legend": {"orient": "top", "title": None, "columns": 2, "labelExpr": "said[datum.value]"},
    }  # fmt: skip
    return {
        "$schema": SCHEMA,
        "description": "What co-adaptation, specificity and transfer come to, by the number of copied layers",
        "width": "container",
        "height": 280,
        "params": [{"name": "said", "value": [f"{name}: {FORMULAS[name]}" for name in MEASURES]}],
        "layer": [
            {"data": {"values": [{"zero": 0}]}, "mark": {"type": "rule", "opacity": 0.5},
             "encoding": {"y": {"field": "zero", "type": "quantitative"}, "color": {"value": QUIET}}},
            {"data": {"values": paper}, "mark": {"type": "line", "strokeDash": [3, 3], "opacity": 0.5},
             "encoding": {"x": x, "y": y, "detail": {"field": "what"}, "color": {"value": QUIET},
                          "tooltip": {"field": "tip"}}},
            {"data": {"values": values}, "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6},
             "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour}},
            {"data": {"values": values}, "mark": {"type": "line"}, "encoding": {"x": x, "y": y, "color": colour}},
            {"data": {"values": values}, "mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
             "encoding": {"x": x, "y": y, "color": colour, "tooltip": {"field": "tip"}}},
        ],
        "config": CONFIG,
    }  # fmt: skip


def _gaps(panel: TransferPanel) -> Sequence[Any]:
    return [one for one in panel.gaps if one.measure in MEASURES]


def by_treatment(panel: TransferPanel) -> Mapping[str, Sequence[Any]]:
    """The means of a panel by treatment, each in the order of copied layers."""
    return {
        name: sorted((one for one in panel.means if one.treatment == name), key=lambda one: one.copied)
        for name in TREATMENTS
        if any(one.treatment == name for one in panel.means)
    }
