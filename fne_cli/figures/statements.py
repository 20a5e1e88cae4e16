"""Whether each embedding of a group beats the best single layer, and by how much, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from fne_cli.figures.contents import CLOSE, Group, Row, Size, Verdict
from fne_cli.figures.differences import tested
from fne_cli.figures.names import shown
from fne_cli.measures import MEASURES

UNTESTED = "Whether that is luck was not tested: the results do not say which test images are right."


def statements(group: Group) -> list[Markup]:
    """Whether each embedding beats the best single layer, and by how much, in plain sentences."""
    found, alone = [], []
    for whole in (row for row in group.rows if row.whole):
        verdicts = [verdict for verdict in group.verdicts if verdict.row is whole]
        if verdicts:
            found.append(_single(group, verdicts[0]) if len(verdicts) == 1 else _curve(verdicts))
        elif (said := _reached(group, [whole])) is not None:
            alone.append(said)
    if alone:
        alone[-1] += f" No single layer was measured beside {'it' if len(alone) == 1 else 'them'}."
    found += alone
    if not found and (said := _reached(group, group.rows)) is not None:
        found.append(said + " No embedding was measured beside it.")
    return found


def _reached(group: Group, rows: Sequence[Row]) -> Markup | None:
    """What the best of these rows reaches, at the size where it does; None without a figure."""
    values = [(point.figures[group.figure], row, size) for row in rows for size, point in row.points.items()
              if group.figure in point.figures]  # fmt: skip
    if not values:
        return None
    value, row, size = max(values, key=lambda one: one[0])
    who = _whole(row) if row.whole else Markup("The best single layer, %s,") % _name(row.name)
    said = Markup("%s reaches <b>%s %%</b> %s%s.")
    return said % (who, _percent(value), MEASURES[group.figure], _of_size(size))


def _of_size(size: Size) -> str:
    return f" with {size} training images per class" if size else ""


def _single(group: Group, verdict: Verdict) -> Markup:
    difference, name = verdict.difference, _name(verdict.best.name)
    reached = Markup("%s reaches <b>%s %%</b> %s%s, ") % (
        _whole(verdict.row), _percent(verdict.value), MEASURES[group.figure],
        _of_size(verdict.size))  # fmt: skip
    rival = Markup("the best single layer, %s (%s&nbsp;%%)") % (name, _percent(verdict.best_value))
    if abs(difference) < CLOSE:
        return reached + Markup("exactly as much as %s.") % rival
    way = "above" if difference > 0 else "below"
    said = reached + Markup('<span class="%s">%s %s</span> %s.') % (verdict.side, _points(difference), way, rival)
    return said + f" {tested(verdict.paired) if verdict.paired is not None else UNTESTED}"


def _curve(verdicts: Sequence[Verdict]) -> Markup:
    """For several sizes of training sets: where it is above, and where not."""
    above = [verdict for verdict in verdicts if verdict.difference > CLOSE]
    below = [verdict for verdict in verdicts if verdict.difference < -CLOSE]
    equal = [verdict for verdict in verdicts if abs(verdict.difference) <= CLOSE]
    parts: list[Markup] = []
    for some, text in ((above, "beats the best single layer"), (below, "falls behind it"), (equal, "equals it")):
        if some:
            by_how_much = [abs(verdict.difference) for verdict in some]
            least, most = (f"{100 * value:.2f}" for value in (min(by_how_much), max(by_how_much)))
            by = (
                "" if some is equal else f" (by {least} points)" if least == most else f" (by {least} to {most} points)"
            )
            sizes = _listed([str(verdict.size) for verdict in some])
            verb = text if parts else text.replace(" it", " the best single layer")  # the first names it
            per = "" if parts else " training images per class"
            mark = next((verdict.side for verdict in some if verdict.side != "quiet"), "quiet")
            parts.append(Markup('<span class="%s">%s</span> at %s%s%s') % (mark, verb, sizes, per, by))
    who = _whole(verdicts[0].row)
    said = Markup("%s %s.") % (who, Markup(" and ").join(parts))
    said += Markup(" %s") % _layers(verdicts)
    by_chance = [str(verdict.size) for verdict in verdicts if verdict.unclear and verdict.paired]
    if by_chance:
        said += f" At {_listed(by_chance)} the difference is not significant."
    untested = [str(verdict.size) for verdict in verdicts if verdict.paired is None]
    if untested:
        said += f" {UNTESTED}" if len(untested) == len(verdicts) else f" At {_listed(untested)}: {UNTESTED}"
    return said


def _layers(verdicts: Sequence[Verdict]) -> Markup:
    """Which layer is the best one at which size."""
    sizes: dict[str, list[str]] = {}
    for verdict in verdicts:
        sizes.setdefault(verdict.best.name, []).append(str(verdict.size))
    if len(sizes) == 1:
        return Markup("That layer is %s at each size.") % _name(next(iter(sizes)))
    parts = [Markup("%s at %s") % (_name(name), _listed(own)) for name, own in sizes.items()]
    return Markup("That layer is %s.") % Markup(", ").join(parts)


def _whole(row: Row) -> Markup:
    if row.name == "embedding":
        return Markup("The %s") % _name(row.title)
    return Markup("The embedding %s") % _name(row.title)


def _listed(words: Sequence[str]) -> str:
    """1, 2 and 5."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _name(text: str) -> Markup:
    return Markup("<bdi>%s</bdi>") % shown(text, 40)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _points(value: float) -> Markup:
    return Markup("%s&nbsp;points") % f"{100 * abs(value):.2f}"
