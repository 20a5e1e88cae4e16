"""Folders of fne map -> what a page shows of them, looked at before it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.figures.evidence import MapSheet, MapShown, MapsView, Pointing
from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.decode import decode
from fne_cli.images.pixels.geometry import MAX_PIXELS, Geometry
from fne_cli.images.pixels.opening import upright_size
from fne_cli.images.pixels.reading import read_file
from fne_cli.images.thumbnails import encoded
from fne_cli.store.format.text import parse_json
from fne_cli.store.other.objects import Claim
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import sha256_of

NUMBERS = "maps.json"
_SHEETS = {"maps": False, "wrong": True}
"""The figures of a folder, and whether their images are wrong."""
_MOST_BYTES = 1 << 28
_MOST = 1000  # maps of a sheet, classes of a table
_FAR = 1e30  # no decision value is beyond it


def map_views(folders: Sequence[Path]) -> list[MapsView]:
    """One for each folder. Raises BadInput, WrongFile, DamagedFile."""
    return [_view(folder) for folder in folders]


def numbers_of(folders: Sequence[Path]) -> list[Path]:
    """The files that are read of these folders."""
    return [folder / NUMBERS for folder in folders]


def _view(folder: Path) -> MapsView:
    path = folder / NUMBERS
    claim = Claim(path, "", _document(path))
    drawn = Claim(path, "drawn", claim.table("drawn"))
    sheets = [
        _sheet(folder, name, wrong, shown)
        for name, wrong in _SHEETS.items()
        if (shown := [_shown(part) for part in _few(drawn, name)])
    ]
    found = claim.value.get("pointing")
    rows = [] if found is None else _few(Claim(path, "pointing", found), "per_class")
    return MapsView(folder.name, claim.count("images"), claim.count("wrong"), sheets, [_pointing(row) for row in rows])


def _document(path: Path) -> Any:
    expected = f"--maps {path.parent} should be a folder that fne map wrote."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise WrongFile(f"{expected} Found: {path.name} of {path.stat().st_size:,} bytes.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        found = f"no {path.name} in it" if missing else getattr(error, "strerror", None) or error
        raise BadInput(f"{expected} Found: {found}.") from error
    try:
        document = parse_json(content)
    except ValueError as error:
        raise WrongFile(f"{expected} Found: {path.name} that is no JSON.") from error
    if not isinstance(document, dict) or (document.get("format"), document.get("kind")) != ("fne", "maps"):
        raise WrongFile(f"{expected} Found: {path.name} of another origin.")
    check_noted(path)
    return document


def _few(claim: Claim, key: str) -> list[Claim]:
    parts = list(claim.parts(key))
    if len(parts) > _MOST:
        raise claim.wrong(key, f"at most {_MOST:,} entries", claim.value[key])
    return parts


def _shown(part: Claim) -> MapShown:
    decision = part.signed("decision", _FAR)
    if decision is None:
        raise part.wrong("decision", "a number", None)
    return MapShown(part.text("path"), part.text("class"), _names(part, "truth"), _names(part, "prediction"), decision)


def _names(part: Claim, key: str) -> str:
    names = part.listed(key)
    if not all(isinstance(name, str) for name in names):
        raise part.wrong(key, "texts", names)
    return ", ".join(names)


def _pointing(row: Claim) -> Pointing:
    shares = (row.share(name) for name in ("pointing", "centre", "area", "corloc"))
    return Pointing(row.text("class"), row.count("images"), *shares)


def _sheet(folder: Path, name: str, wrong: bool, shown: Sequence[MapShown]) -> MapSheet:
    """The figure, decoded and encoded again. Raises DamagedFile unless it is the one that was drawn."""
    path = folder / f"{name}.png"
    figures = read_record(folder / "map").get("figures")
    states = figures.get(name) if isinstance(figures, dict) else None
    noted = states[0].get("sha256") if isinstance(states, list) and states and isinstance(states[0], dict) else None
    try:
        if noted != sha256_of(path):
            raise DamagedFile(f"{path} should be the figure that fne map drew. Found: another one.\nDraw it again.")
        width, height = upright_size(read_file(str(path), 0, None), MAX_PIXELS)
        image = decode(partial(read_file, str(path)), Geometry(height, width, "squash"))
    except (OSError, BadImage) as error:
        raise DamagedFile(f"{path} should be the figure that fne map drew. Found: {error}.\nDraw it again.") from error
    if image.status is not Status.GOOD:
        raise DamagedFile(f"{path} should be a picture. Found: {image.message}.\nDraw it again.")
    return MapSheet(wrong, shown, encoded(image.pixels[0]), width, height)
