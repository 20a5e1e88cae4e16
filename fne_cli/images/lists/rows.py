"""The rows of a table that people wrote: CSV with one of three delimiters, JSON, JSON Lines."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fne_cli.errors import BadInput

Row = tuple[str, Mapping[str, Any]]
"""Where it stands (`m.csv, line 2,`), and its values by column."""
Check = Callable[[Sequence[str], str], None]
"""Is told columns that have not come before, and where; raises BadInput if it does not like them."""

TABLES = (".csv", ".tsv", ".jsonl", ".json")
_REMEDIES = {
    ".parquet": 'Write it as CSV first; in Python: pandas.read_parquet("IN").to_csv("OUT.csv", index=False)',
    ".feather": 'Write it as CSV first; in Python: pandas.read_feather("IN").to_csv("OUT.csv", index=False)',
    ".xlsx": "Save it as CSV first.",
    ".xls": "Save it as CSV first.",
    ".ods": "Save it as CSV first.",
}


def is_table(path: str) -> bool:
    """Whether a file is a table by its name, be it one that cannot be read."""
    ending = os.path.splitext(path)[1].lower()
    return ending in TABLES or ending in _REMEDIES


def table_rows(path: str, check: Check) -> Iterator[Row]:
    """The rows of a .csv, .tsv, .json (an array of objects) or .jsonl file. Raises BadInput with the line."""
    ending = os.path.splitext(path)[1].lower()
    if ending in _REMEDIES:
        wanted = f"{path} should be a manifest ({', '.join(TABLES)})."
        raise BadInput(f"{wanted} Found: a file ending in {ending}.\n{_REMEDIES[ending]}")
    if ending in (".csv", ".tsv"):
        return _csv_rows(path, check, "\t" if ending == ".tsv" else "")
    return _json_rows(path, check) if ending == ".json" else _jsonl_rows(path, check)


def _csv_rows(path: str, check: Check, delimiter: str) -> Iterator[Row]:
    with _opened(path) as file:
        reader = csv.reader(file, strict=True, delimiter=delimiter or _delimiter(path))
        try:
            header = next(reader, [])
            check(header, path)
            for fields in reader:
                where = f"{path}, line {reader.line_num},"
                if fields and len(fields) != len(header):
                    raise BadInput(f"{where} should have {len(header)} fields. Found: {len(fields)}.")
                if fields:
                    yield where, dict(zip(header, fields, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise _no_text(path, "CSV", error) from error


def _delimiter(path: str) -> str:
    """A comma, unless the header has semicolons, as spreadsheets write where numbers have commas, or tabs."""
    try:
        with _opened(path) as file:
            first = file.readline(1 << 16)
    except UnicodeDecodeError as error:
        raise _no_text(path, "CSV", error) from error
    marks = (",", ";", "\t")
    return next((mark for mark in marks if "path" in [name.strip(' "\r\n') for name in first.split(mark)]), ",")


def _jsonl_rows(path: str, check: Check) -> Iterator[Row]:
    with _opened(path) as file:
        known: set[str] = set()
        try:
            for number, line in enumerate(file, start=1):
                where = f"{path}, line {number},"
                if not line.strip():
                    continue
                try:
                    row = _parsed(line)
                except (ValueError, RecursionError) as error:
                    raise BadInput(f"{where} should be a JSON object. Found: {error}.") from error
                yield _checked(row, where, known, check)
        except UnicodeDecodeError as error:
            raise _no_text(path, "JSON Lines", error) from error


def _json_rows(path: str, check: Check) -> Iterator[Row]:
    """An array of objects; JSON Lines that are called .json, too."""
    wanted = f'{path} should be an array of objects, [{{"path": ...}}, ...], or an object on every line.'
    try:
        with _opened(path) as file:
            document = _parsed(file.read())
    except UnicodeDecodeError as error:
        raise _no_text(path, "JSON", error) from error
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise BadInput(f"{wanted} Found: {error}.") from error
        yield from _jsonl_rows(path, check)
        return
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{wanted} Found: {error}.") from error
    if isinstance(document, dict) and "path" in document and not isinstance(document["path"], dict | list):
        document = [document]  # a single line
    if not isinstance(document, list):
        names = f" with {', '.join(map(repr, list(document)[:5]))}" if isinstance(document, dict) else ""
        raise BadInput(
            f"{wanted} Found: one {type(document).__name__}{names}.\n"
            'A table of pandas is written so: to_json("m.json", orient="records").'
        )
    known: set[str] = set()
    for number, row in enumerate(document, start=1):
        yield _checked(row, f"{path}, row {number},", known, check)


def json_content(path: str) -> Any:
    """What a .json file says that is no table, numbers with a fraction as text. Raises BadInput."""
    try:
        with _opened(path) as file:
            return _parsed(file.read())
    except UnicodeDecodeError as error:
        raise _no_text(path, "JSON", error) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} should be JSON. Found: {error}.") from error


def _parsed(text: str) -> Any:
    """JSON whose numbers with a fraction, and NaN, are the text that stands there, as they are in CSV."""
    return json.loads(text, parse_float=str, parse_constant=str)


def _checked(row: Any, where: str, known: set[str], check: Check) -> Row:
    if not isinstance(row, dict):
        raise BadInput(f"{where} should be a JSON object. Found: {type(row).__name__}.")
    if not known.issuperset(row):
        check(tuple(row), where.removesuffix(","))
        known.update(row)
    return where, row


def _opened(path: str) -> Any:
    try:
        return open(path, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BadInput(f"{path} should be a manifest that can be read. Found: {error.strerror}.") from error


def _no_text(path: str, kind: str, error: Exception) -> BadInput:
    """What is wrong; of bytes that are another encoding, how to change it."""
    remedy = ""
    if isinstance(error, UnicodeDecodeError):
        with open(path, "rb") as file:
            wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        remedy = f"\nWrite it in UTF-8: iconv -f {'UTF-16' if wide else 'WINDOWS-1252'} -t UTF-8 OLD > NEW"
        remedy += "" if wide else ", if Windows wrote it."
    return BadInput(f"{path} should be {kind} in UTF-8. Found: {error}.{remedy}")
