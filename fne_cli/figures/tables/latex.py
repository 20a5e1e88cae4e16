"""The figures of a page as a table for LaTeX: a line for each configuration, a column for each number of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from fne_cli.figures.contents import Group
from fne_cli.figures.names import shown
from fne_cli.figures.tables.configurations import Cell, Column, Configuration, configurations, standard
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


def table(groups: Sequence[Group]) -> str:
    r"""A `tabular` for \usepackage{booktabs}: the best of each column and dataset is bold, + and - are significant.

    Those are differences from the first embedding of the same network, image by image. Behind a figure stands its 95 %
    interval, or its standard deviation over draws; before the figures what they cost.
    """
    lines, columns = configurations(groups)
    named = {"dataset": [line.dataset for line in lines], "network": [line.network for line in lines]}
    varying = [name for name, texts in named.items() if len(set(texts)) > 1]
    timed = any(line.seconds is not None for line in lines)
    head = [*varying, "embedding", "features", *(["s"] if timed else [])]
    body = [_texts(line, varying, timed) + _values(line, columns, lines) for line in lines]
    notes = _notes(lines, columns, named, varying, timed)
    kinds = "l" * (len(varying) + 1) + "r" * (len(head) - len(varying) - 1) + "l" * len(columns)
    width = len(kinds)
    foot = [rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {note}}} \\" for note in notes]
    rows: list[str] = []
    for place, (line, cells) in enumerate(zip(lines, body, strict=True)):
        rows += [r"\midrule"] if place and line.dataset != lines[place - 1].dataset else []
        rows.append(" & ".join(cells) + r" \\")
    return "\n".join(
        [
            f"% fne report --latex, fne {__version__}. Needs \\usepackage{{booktabs}}.",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            *_above(columns, len(head)),
            " & ".join([*head, *(column.head for column in columns)]) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            *foot,
            r"\end{tabular}",
            "",
        ]
    )


def _above(columns: Sequence[Column], first: int) -> list[str]:
    """The line that names protocols, or says what the numbers above the columns are."""
    cells, rules, place = [""] * first, [], first
    for _, some in groupby(columns, lambda column: column.place):
        own = list(some)
        text = shown(own[0].protocol, _LENGTH)
        text += ", images per class" if any(column.size for column in own) else ""
        cells.append(rf"\multicolumn{{{len(own)}}}{{l}}{{{escaped(text)}}}")
        rules.append(rf"\cmidrule(lr){{{place + 1}-{place + len(own)}}}")
        place += len(own)
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _texts(line: Configuration, varying: Sequence[str], timed: bool) -> list[str]:
    texts = {"dataset": line.dataset, "network": line.network}
    cells = [escaped(shown(texts[name], _LENGTH)) if texts[name] else "" for name in varying]
    features = line.features
    cells.append(escaped(shown(line.name, _LENGTH)))
    cells.append(f"{features[0]}" if len(features) == 1 else f"{features[0]}--{features[-1]}")
    return cells + (["" if line.seconds is None else f"{line.seconds:.2f}"] if timed else [])


def _values(line: Configuration, columns: Sequence[Column], lines: Sequence[Configuration]) -> list[str]:
    found = []
    for column in columns:
        rivals = [one.cells[column].value for one in lines if one.dataset == line.dataset and column in one.cells]
        found.append(_cell(line.cells[column], max(rivals)) if column in line.cells else "--")
    return found


def _cell(cell: Cell, best: float) -> str:
    text = f"{100 * cell.value:.2f}"
    if text == f"{100 * best:.2f}":
        text = rf"\textbf{{{text}}}"
    text += {"over": _ABOVE, "under": _BELOW}.get(cell.side, "")
    if cell.spread is not None:
        return text + rf" {{\scriptsize $\pm$ {100 * cell.spread:.2f}}}"
    if cell.point.interval is not None:
        low, high = cell.point.interval
        return text + rf" {{\scriptsize ({100 * low:.2f}--{100 * high:.2f})}}"
    return text


def _notes(
    lines: Sequence[Configuration], columns: Sequence[Column], named: dict[str, list[str]], varying: Sequence[str],
    timed: bool,
) -> list[str]:  # fmt: skip
    """What a reader of the table has to know, as LaTeX."""
    cells = [cell for line in lines for cell in line.cells.values()]
    constant = [(name, texts[0]) for name, texts in named.items() if name not in varying and texts[0]]
    measures = dict.fromkeys(column.measure for column in columns)
    notes = ["; ".join(f"{name} {shown(text, 80)}" for name, text in constant)] if constant else []
    behind = ["standard deviations over draws behind them"] if any(cell.spread is not None for cell in cells) else []
    known = any(cell.spread is None and cell.point.interval is not None for cell in cells)
    behind = [*(["95 % intervals in brackets"] if known else []), *behind]
    notes.append(f"{', '.join(measures)} in percent{''.join(f', {one}' for one in behind)}; the best of each column "
                 f"{'and dataset ' if 'dataset' in varying else ''}is bold.")  # fmt: skip
    if timed:
        notes.append("In column s, seconds of a training with its measurement, of the longest of the line.")
    for line in lines:
        if not line.whole:
            notes.append(_best(line, varying))
    if any(not line.whole for line in lines):
        notes.append("The best layer is picked by these figures, which favours it.")
    notes = [escaped(f"{note[:1].upper()}{note[1:]}") for note in notes]
    if any(cell.side for cell in cells):
        firsts = dict.fromkeys(first.title for cell in cells if (first := standard(cell.group)) is not None)
        other = escaped(", ".join(shown(first, _LENGTH) for first in firsts))
        notes.append(f"{_ABOVE}, {_BELOW}: significantly above, below {other} on the same test images and network.")
    return notes


def _best(line: Configuration, varying: Sequence[str]) -> str:
    """Which layers the best ones are."""
    columns: dict[str, list[str]] = {}
    for column, cell in line.cells.items():
        columns.setdefault(cell.row.name, []).append(column.head)
    texts = {"dataset": line.dataset, "network": line.network}
    home = ", ".join(shown(texts[name], _LENGTH) for name in varying)
    names = [
        shown(name, _LENGTH) + (f" ({', '.join(dict.fromkeys(own))})" if len(columns) > 1 else "")
        for name, own in columns.items()
    ]
    return f"{shown(line.name, _LENGTH)}{f' of {home}' if home else ''}: {', '.join(names)}."
