"""Text as a reader sees it: nothing in it moves a cursor, hides or reorders anything. A leaf like ``errors``."""

from __future__ import annotations

import json
import re
from typing import Any

# Controls, spaces that do not look like one, marks of direction and joining, private and half characters.
UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\uf8ff]|[\U000e0000-\U0010ffff]"
)


def plain(text: str, keep: str = "") -> str:
    """Text in which all that cannot be seen is written as an escape, but the characters of `keep`."""

    def escape(match: re.Match[str]) -> str:
        character = match[0]
        return character if character in keep else character.encode("unicode_escape", "surrogatepass").decode()

    return UNPRINTABLE.sub(escape, text)


def plain_lines(text: str) -> str:
    """The same of a text that has several lines."""
    return plain(text, keep="\n")


def plain_json(value: Any, allow_nan: bool = False) -> str:
    """JSON for a terminal as for programs: what cannot be seen stands in its strings as the escapes that JSON has."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=allow_nan)
    return UNPRINTABLE.sub(lambda match: json.dumps(match[0])[1:-1], text)
