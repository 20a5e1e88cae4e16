"""Names in CSV files that people open: none is a formula in a spreadsheet, or a command to a terminal.

A name that would be one begins with an apostrophe, as OWASP advises against CSV injection, and has escapes in it as
Python has them. Any other stands as it is. `name_in` takes off exactly what `as_cell` puts on.
"""

from __future__ import annotations

import re

_MARK = "'"
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_NUMBERS = re.compile(f"{_NUMBER}(?:;{_NUMBER})*")
# Where a spreadsheet splits at semicolons, as many do in Europe, a part of the name begins a cell, too.
_FORMULA = re.compile(r"(^|;)(\s*)([=+\-@\uff0b\uff0d\uff1d\uff20])")
# Controls, lines and directions. Not all that terminals get escaped: what joins letters or draws an emoji may stay.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(?:\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def as_cell(name: str) -> str:
    """A name as it may stand in a CSV file; plain numbers, negative ones too, and most others stay as they are."""
    if _NUMBERS.fullmatch(name):
        return name
    if not (name.startswith(_MARK) or _FORMULA.search(name) or _CONTROL.search(name)):
        return name
    text = _CONTROL.sub(lambda match: _escaped(match[0]), name.replace("\\", "\\\\"))
    return _MARK + _FORMULA.sub(_later, text)


def name_in(text: str) -> str:
    """The name that `as_cell` made this of. What it never makes, as it stands in files of others, is taken as it is."""
    if not text.startswith(_MARK):
        return text
    name = _ESCAPE.sub(lambda match: _character(match[0]), text[len(_MARK) :])
    return name if as_cell(name) == text else text


def _later(match: re.Match[str]) -> str:
    """The beginning of a formula; the mark is enough where it is that of the name."""
    return match[0] if not match[1] else match[1] + match[2] + _escaped(match[3])


def _escaped(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _character(escape: str) -> str:
    if escape == "\\\\":
        return "\\"
    point = int(escape[2:], 16)
    return chr(point) if point < 0x110000 else escape
