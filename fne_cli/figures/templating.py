"""What pages are made with: our templates and styles, and the filters that nothing from a file gets past."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fne_cli.figures.names import shown
from fne_cli.unprintable import plain

_JOINT = re.compile(r"([_/])(?=\w)")  # a line may end behind a hyphen anyway


def packaged(name: str) -> str:
    """A file beside the templates."""
    return resources.files("fne_cli.figures").joinpath("templates", name).read_text(encoding="utf-8")


def source_of(text: str) -> str:
    """How a Content-Security-Policy permits exactly this style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _seen(value: Any) -> Any:
    """What Jinja writes of every value: of texts nothing that cannot be seen."""
    return plain(value) if type(value) is str else value


def _visible(text: str) -> Markup:
    """A text of several lines."""
    return escape(plain(text, keep="\n"))


def _lines(text: str, length: int) -> Markup:
    """A message, which may have several lines, of at most `length` characters."""
    return escape(shown(text, length, keep="\n"))


def _breakable(text: str) -> Markup:
    """A name whose lines may end behind what joins its words, and so need not end within one."""
    return Markup(_JOINT.sub(r"\1<wbr>", str(escape(text))))  # noqa: S704  # escaped before


def environment() -> Environment:
    """Templates that escape all values, and write of texts nothing that cannot be seen."""
    made = Environment(
        loader=PackageLoader("fne_cli.figures"), autoescape=True, undefined=StrictUndefined, finalize=_seen
    )
    made.filters |= {
        "shown": shown,
        "breakable": _breakable,
        "visible": _visible,
        "lines": _lines,
        "title_case": lambda text: text[:1].upper() + text[1:] if text[:2] != "mA" else text,
        "number": lambda value: f"{value:g}",
        "base64": lambda content: base64.b64encode(content).decode(),
    }
    return made
