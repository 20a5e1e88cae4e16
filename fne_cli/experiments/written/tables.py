"""Tables of a TOML file, read as the options that commands have; errors name what stands there."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.experiments.written.config import OWN, Options, Table, Value
from fne_cli.images.pixels.bad import Allowed

SPELLED = {"list": "lists", "C": "cost"}  # as on the command line
_UNSPELLED = {"lists": "list"}
NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


def overridden(path: Path, overrides: Sequence[str]) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """The tables of a file with those of `--set` over them, and the places that these have. Raises BadInput."""
    tables = _parsed(path)
    origins: dict[tuple[str, ...], str] = {}
    for text in overrides:
        keys, value = _override(text)
        _put(tables, keys, value, text)
        origins[keys] = "--set"
    return tables, origins


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} should be the TOML file of an experiment. Found: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or numbers and nesting that nobody writes
        raise BadInput(f"{path} should be TOML. Found: {error}.") from error


def _override(text: str) -> tuple[tuple[str, ...], Any]:
    """The keys and the value of TABLE.KEY=VALUE; what is not TOML is text."""
    name, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in name.split("."))
    if not equals or not all(keys):
        raise BadInput(f"--set should be TABLE.KEY=VALUE, such as networks.vgg16.batch_size=32. Found: {text!r}.")
    try:
        return keys, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, KeyError, RecursionError):
        return keys, value


def _put(tables: dict[str, Any], keys: tuple[str, ...], value: Any, text: str) -> None:
    place = tables
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set {text}: {key} is not a table.")
    place[keys[-1]] = value


class Checked:
    """Reads tables, and complains in the words of the file."""

    def __init__(self, path: Path, origins: Mapping[tuple[str, ...], str], options: Options) -> None:
        self.path, self._origins, self._options = path, origins, options

    def table(
        self, kind: str, keys: tuple[str, ...], table: dict[str, Any], command: str, permitted: Iterable[str]
    ) -> Table:
        """The values of a table of a kind, whose place is `keys`: its own, and those `permitted` of a command's.

        Raises BadInput.
        """
        where = ".".join(keys) or kind
        own = self.own_keys(kind) if keys != (kind,) else ()
        known = [*own, *permitted]
        found: Table = {}
        for spelled, raw in table.items():
            key = SPELLED.get(spelled, spelled.replace("-", "_"))
            if key not in known:
                raise self.wrong(where, f"has the unknown key {spelled!r}. {nearest(key, known)}", spelled)
            try:
                value = self.own_value(key, raw, where) if key in own else self.read_option(command, kind, key, raw)
            except ValueError as error:
                raise self.wrong(where, f"{spelled}: {error}", spelled) from error
            place = (*(keys or (kind,)), spelled)
            origin = next((text for at, text in self._origins.items() if _same(at, place)), str(self.path))
            found[key] = Value(value, origin)
        return found

    def own_keys(self, kind: str) -> tuple[str, ...]:
        """Keys of a table that no command has."""
        return OWN.get(kind, ())

    def read_option(self, command: str, kind: str, key: str, raw: Any) -> Any:
        """The value of an option of a command, in a table of a kind. Raises ValueError."""
        value = self._options[command][key].read(raw)
        if key == "max_bad":
            try:
                Allowed.parse(value)
            except BadInput as error:
                raise ValueError(f"should be {Allowed.EXPECTED}. Found: {value!r}") from error
        return value

    def own_value(self, key: str, raw: Any, where: str) -> Any:
        """The value of a key that no command has. Raises ValueError."""
        if not isinstance(raw, str) or not raw or "\0" in raw:
            raise ValueError(f"should be text, found {raw!r}")
        if key == "images" and raw == "-":
            raise ValueError("should be a folder, a manifest or an archive: standard input can be read only once")
        return raw

    def wrong(self, where: str, text: str, key: str = "") -> BadInput:
        """The error for what stands at `where` (and `key`) of the file, or of what --set put there."""
        place = tuple(part for part in (*where.split("."), *key.split(".")) if part)
        given = next((".".join(at) for at in self._origins if place and _same(at, place)), None)
        origin = str(self.path) if given is None else f"--set {given}"
        at = f"{origin}, [{where}]" if where else origin
        return BadInput(f"{at} {text}." if not text.endswith((".", "?")) else f"{at} {text}")


def _same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one is the other, or a table that the other stands in."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def nearest(name: str, known: Iterable[str]) -> str:
    """Which known name was meant, or which there are."""
    names = [_UNSPELLED.get(key, key) for key in known]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
