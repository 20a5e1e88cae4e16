"""Paths as people write them, and as they are on the disk."""

from __future__ import annotations

import os
import unicodedata


def as_on_disk(base: str, path: str) -> str:
    """The path of a file below `base` as it is: with / where it was written with \\, accents composed or decomposed.

    What is there as it was written, and what is not there at all, stays as it is.
    """
    if (path.isascii() and "\\" not in path) or os.path.lexists(os.path.join(base, path)):
        return path
    slashed = path.replace("\\", "/")
    forms = (slashed, unicodedata.normalize("NFC", slashed), unicodedata.normalize("NFD", slashed))
    return next((form for form in forms if os.path.lexists(os.path.join(base, form))), path)


def in_one_form(path: str) -> str:
    """The same text for all ways to write a path: to compare those of lists with those of images."""
    return unicodedata.normalize("NFC", os.path.normpath(path.replace("\\", "/")))


def why_missing(path: str, base: str) -> str:
    """What to do about a path that is not there, by the way in which it is written."""
    if path[1:3] in (":\\", ":/") or path.startswith("\\\\"):
        return "Its paths are those of a Windows machine: write them as they are below a folder here, with /."
    if os.path.isabs(path):
        return "Its paths are absolute, those of another place: write them as they are below a folder, and give --root."
    folder, path = os.path.abspath(base or "."), path.replace("\\", "/")
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        if os.path.lexists(os.path.join(folder, path)):
            return f"Its paths start from another folder: give --root {folder}"
    return "Give the folder that its paths start from: --root FOLDER."
