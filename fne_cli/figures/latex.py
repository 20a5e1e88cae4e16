"""The figures of a page as a table for LaTeX: a line for each measurement, a column for each embedding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fne_cli.figures.contents import Group, Row, Size
from fne_cli.figures.names import distinct, shown
from fne_cli.measures import MEASURES
from fne_cli.version import __version__

_LENGTH = 40
_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\char34{}",
    # \\ takes what stands behind it in brackets for a length, and a star for itself
    "[": r"{[}", "]": r"{]}", "*": r"{*}",
} | {character: f"\\{character}" for character in "&%$#_{}"}  # fmt: skip
_PATTERN = re.compile("|".join(re.escape(character) for character in _SPECIAL))
_DASHES = re.compile("-(?=-)")
_ABOVE, _BELOW = "$^{+}$", "$^{-}$"


def escaped(text: str) -> str:
    """A name as LaTeX prints it; nothing in it is a command."""
    return _DASHES.sub("-{}", _PATTERN.sub(lambda match: _SPECIAL[match[0]], text))


@dataclass(frozen=True)
class _Line:
    """A measurement: what names it, by the column's title, the rows by theirs, and the best layer of them."""

    group: Group
    size: Size
    names: dict[str, str]
    wholes: dict[str, Row]
    layer: Row | None


def table(groups: Sequence[Group]) -> str:
    r"""A `tabular` for \usepackage{booktabs}: the best of each line is bold; + and - are significant differences.

    Those are differences from the first embedding, image by image.
    """
    lines = [line for group in groups for line in _lines(group)]
    titles = list(dict.fromkeys(title for line in lines for title in line.wholes))
    varying = [name for name in lines[0].names if len({line.names[name] for line in lines}) > 1]
    constant = [(name, lines[0].names[name]) for name in lines[0].names if name not in varying]
    layers = any(line.layer for line in lines)
    standard = titles[0] if titles else ""
    head = [*varying, *distinct(titles, _LENGTH), *(["best layer", ""] if layers else [])]
    columns = "l" * len(varying) + "r" * len(titles) + ("rl" if layers else "")
    body = [[*_texts(line, varying), *_values(line, titles, standard, layers)] for line in lines]
    marked = any(mark in cell for row in body for cell in row for mark in (_ABOVE, _BELOW))
    said = "; ".join(f"{name} {shown(value, 80)}" for name, value in constant if value)
    notes = [f"In every line: {said}."] if said else []
    notes.append("In percent; the best of each line is bold.")
    if layers:
        notes.append("The best layer is picked by these figures, which favours it.")
    if marked:
        other = escaped(shown(standard, _LENGTH))
        notes.append(f"{_ABOVE}, {_BELOW}: significantly above, below {other} on the same test images.")
    width = len(columns)
    foot = [rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {_noted(note)}}} \\" for note in notes]
    return "\n".join(
        [
            f"% fne report --latex, fne {__version__}. Needs \\usepackage{{booktabs}}.",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(escaped(name) for name in head) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in body),
            r"\bottomrule",
            *foot,
            r"\end{tabular}",
            "",
        ]
    )


def _noted(note: str) -> str:
    return note if note.startswith("$") else escaped(note)


def _lines(group: Group) -> list[_Line]:
    found = []
    for size in group.sizes:
        there = [row for row in group.rows if size in row.points and group.figure in row.points[size].figures]
        layers = [row for row in there if not row.whole]
        best = max(layers, key=lambda row: _value(group, row, size), default=None)
        names = {
            "dataset": group.dataset,
            "network": ", ".join(part for part in (group.network, group.pooling) if part),
            "protocol": group.protocol,
            "images per class": str(size or "all"),
            "measure": MEASURES[group.figure],
        }
        if there:
            found.append(_Line(group, size, names, {row.title: row for row in there if row.whole}, best))
    return found


def _texts(line: _Line, varying: Sequence[str]) -> list[str]:
    return [escaped(shown(line.names[name], _LENGTH)) if line.names[name] else "" for name in varying]


def _values(line: _Line, titles: Sequence[str], standard: str, layers: bool) -> list[str]:
    """The cells of the embeddings, and of the best layer with its name."""
    rows = [line.wholes.get(title) for title in titles] + ([line.layer] if layers else [])
    values = [_value(line.group, row, line.size) for row in rows if row is not None]
    first = line.wholes.get(standard)
    cells = [_cell(line, row, max(values), first) if row is not None else "--" for row in rows]
    return [*cells, *([escaped(shown(line.layer.name, _LENGTH)) if line.layer else ""] if layers else [])]


def _cell(line: _Line, row: Row, best: float, standard: Row | None) -> str:
    value, figure = _value(line.group, row, line.size), line.group.figure
    text = f"{100 * value:.2f}"
    if text == f"{100 * best:.2f}":
        text = rf"\textbf{{{text}}}"
    spread = row.points[line.size].spreads.get(figure)
    deviation = "" if spread is None else rf" {{\scriptsize $\pm$ {100 * spread:.2f}}}"
    return text + _mark(line, row, standard) + deviation


def _mark(line: _Line, row: Row, standard: Row | None) -> str:
    """How a row differs from the standard, if it does."""
    for one in line.group.differences:
        if one.size == line.size and one.significant and standard is not None:
            if one.first is row and one.second is standard:
                return _ABOVE if one.value > 0 else _BELOW
            if one.first is standard and one.second is row:
                return _BELOW if one.value > 0 else _ABOVE
    return ""


def _value(group: Group, row: Row, size: Size) -> float:
    return row.points[size].figures[group.figure]
