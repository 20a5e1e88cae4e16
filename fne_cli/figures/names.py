"""Names from files as a reader sees them: nothing in them moves, hides or reorders the text around them."""

from __future__ import annotations

import re

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


def shown(name: str, length: int = 64, keep: str = "") -> str:
    """A name as one line of at most `length` characters, the middle of a longer one left out. keep: as in `plain`."""
    text = plain(name if len(name) <= 2 * length else name[:length] + "…" + name[-length:], keep) or "(no name)"
    if len(text) <= length:
        return text
    tail = length // 3
    return text[: length - tail - 1].rstrip() + "…" + text[-tail:].lstrip()


def file_name(name: str, length: int = 60) -> str:
    """A name as a part of a file's name: letters, digits, `.`, `_` and `-`, and no leading dot."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:length].lstrip(".") or "_"
