"""A page of small pictures as one HTML file."""

from __future__ import annotations

from markupsafe import Markup

from fne_cli.figures.gallery import Gallery
from fne_cli.figures.templating import environment, packaged, source_of
from fne_cli.version import __version__


def render(gallery: Gallery) -> bytes:
    """The page as UTF-8. It has no script, and may load nothing."""
    style = packaged("page.css") + packaged("gallery.css")
    policy = f"default-src 'none'; style-src {source_of(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    html = (
        environment()
        .get_template("gallery.html")
        .render(
            page=gallery,
            across=[pair for pair in gallery.pairs if pair.across],
            within=[pair for pair in gallery.pairs if not pair.across],
            version=__version__,
            policy=policy,
            style=Markup(style),  # noqa: S704  # our own files
        )
    )
    return html.encode("utf-8", "backslashreplace")
