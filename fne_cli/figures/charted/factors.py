"""What each factor does, as a chart of the page: each value less the standard one, in points."""

from __future__ import annotations

from typing import Any

from fne_cli.figures.charted.charts import CONFIG, INK, SCHEMA, WHOLES
from fne_cli.figures.experiments import FactorTable
from fne_cli.figures.names import distinct, shown


def chart(factors: FactorTable) -> dict[str, Any] | None:
    """The same as a Vega-Lite specification; None without effects."""
    rows, datasets = values_of(factors), datasets_of(factors)
    if not rows:
        return None
    values = []
    for one in factors.effects:
        middle, spread = 100 * one.difference, 100 * (one.spread or 0.0)
        said = f"{shown(one.factor, 20)}: {shown(one.value, 30)} in place of {shown(one.standard, 30)}"
        values.append({
            "place": rows.index((one.factor, one.value)), "set": datasets.index(one.dataset),
            "value": round(middle, 4), "low": round(middle - spread, 4), "high": round(middle + spread, 4),
            "tip": f"{said}, {shown(one.dataset, 30)}: {middle:+.2f} ± {spread:.2f} points, {one.pairs} pairs",
        })  # fmt: skip
    names = distinct([f"{factor}: {value}" for factor, value in rows], 44)
    x = {"field": "value", "type": "quantitative", "title": "points more than the standard value, on images held out",
         "axis": {"tickCount": 6}}  # fmt: skip
    y = {"field": "place", "type": "ordinal", "title": None, "scale": {"domain": list(range(len(rows)))},
         "axis": {"labelExpr": "names[datum.value]", "labelLimit": 0, "domain": False, "ticks": False,
                  "labelColor": INK, "grid": True, "gridDash": [1, 3]}}  # fmt: skip
    colour = {
        "field": "set", "type": "ordinal",
        "scale": {"domain": list(range(len(datasets))), "range": list(WHOLES)},
        "legend": {"orient": "top", "title": None, "labelExpr": "sets[datum.value]"} if len(datasets) > 1 else None,
    }  # fmt: skip
    shift = {"field": "set", "type": "ordinal", "scale": {"domain": list(range(len(datasets)))}}
    return {
        "$schema": SCHEMA,
        "description": "What each value of each factor adds to the standard value: mean and standard deviation",
        "width": "container",
        "height": len(rows) * (14 + 8 * len(datasets)),
        "params": [
            {"name": "names", "value": names},
            {"name": "sets", "value": distinct([shown(name, 32) for name in datasets], 32)},
        ],
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6},
             "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "yOffset": shift,
                          "color": colour}},
            {"mark": {"type": "point", "filled": True, "opacity": 1, "size": 60},
             "encoding": {"x": x, "y": y, "yOffset": shift, "color": colour, "tooltip": {"field": "tip"}}},
        ],
        "config": CONFIG,
    }  # fmt: skip


def values_of(factors: FactorTable) -> list[tuple[str, str]]:
    """Values that were compared with a standard one, in the order of the factors."""
    pairs = list(dict.fromkeys((one.factor, one.value) for one in factors.effects))
    order = {name: place for place, name in enumerate(factors.names)}
    return sorted(pairs, key=lambda pair: order.get(pair[0], len(order)))


def datasets_of(factors: FactorTable) -> list[str]:
    """In the order of the gains."""
    known = [one.dataset for one in factors.gains]
    return list(dict.fromkeys([*known, *(one.dataset for one in factors.effects)]))
