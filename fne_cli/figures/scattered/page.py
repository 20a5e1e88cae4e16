"""The page with a map of images: one HTML file that holds everything it needs and may load nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from fne_cli.figures.charted.charts import as_script
from fne_cli.figures.names import shown
from fne_cli.figures.scattered.contents import ScatterPage
from fne_cli.figures.templating import environment, packaged, source_of
from fne_cli.version import __version__

_PATH, _NAME = 80, 48  # characters


def render(page: ScatterPage) -> bytes:
    """The page as UTF-8."""
    style, script = packaged("page.css") + packaged("scatter.css"), packaged("scatter.js")
    policy = (
        f"default-src 'none'; script-src {source_of(script)}; style-src {source_of(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    ways = _ways(page)
    html = (
        environment()
        .get_template("scatter.html")
        .render(
            page=page,
            ways=ways,
            count=len(page.points),
            version=__version__,
            policy=policy,
            style=Markup(style),  # noqa: S704  # our own files, and JSON that cannot end its element
            script=Markup(script),  # noqa: S704  # as above
            data=Markup(as_script(_data(page, ways))),  # noqa: S704  # as above
        )
    )
    return html.encode("utf-8", "backslashreplace")


def _ways(page: ScatterPage) -> list[dict[str, Any]]:
    """The ways to colour points: a title, the names of its values, and of each point the number of its value."""
    found = []
    if any(page.label):
        found.append(_way("class", page.label, "no label"))
    if any(page.split):
        found.append(_way("split", page.split, "no split"))
    if page.predicted:
        found.append(_way("prediction", page.prediction, "not predicted"))
        words = [{True: "right", False: "wrong", None: "not known"}[one] for one in page.right]
        names: list[str] = [name for name in ("right", "wrong", "not known") if name in words]
        found.append({"title": "right or wrong", "names": names, "of": [names.index(word) for word in words]})
    return found or [{"title": "nothing", "names": ["images"], "of": [0] * len(page.path)}]


def _way(title: str, values: Sequence[str], without: str) -> dict[str, Any]:
    """Values in their order, those without one last."""
    names = sorted({value for value in values if value})
    numbers = {name: number for number, name in enumerate(names)} | {"": len(names)}
    shown_names = [shown(name, _NAME) for name in names] + ([without] if not all(values) else [])
    return {"title": title, "names": shown_names, "of": [numbers[value] for value in values]}


def _data(page: ScatterPage, ways: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the script draws. Five digits: a screen has fewer."""
    low, high = page.points.min(axis=0), page.points.max(axis=0)
    size = float((high - low).max()) or 1.0
    places = ((page.points - (low + high) / 2) / size).round(5)
    return {
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "paths": [shown(path, _PATH) for path in page.path],
        "ways": ways,
        "pictures": {str(number): base64.b64encode(image).decode() for number, image in page.pictures.items()},
    }
