"""The figures of a page as files, once, and again only if asked to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fne_cli.figures.contents import Group, Page
from fne_cli.figures.experiments import FactorTable, TransferTable
from fne_cli.figures.names import file_name
from fne_cli.figures.transfer import main_panels
from fne_cli.progress import Progress
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.output.origin import Origin


def drawings_of(folder: Path, page: Page, digest: str, origin: Origin) -> Drawings:
    """Those of a page, as files of the folder."""
    return Drawings(folder, "report", [*named(page.groups), *_effects(page), *_transfers(page)], digest, origin)


def draw(into: Drawings, page: Page, progress: Progress) -> None:
    """Write every figure."""
    from fne_cli.figures.drawn import effects, results, transfer

    figures, varied, transferred = named(page.groups), _effects(page), _transfers(page)
    with into, progress.track(len(figures) + len(varied) + len(transferred), "figures") as advance:
        for name, (kind, group) in figures.items():
            into.draw(name, getattr(results, kind), group)
            advance(1)
        for name, factors in varied.items():
            into.draw(name, effects.effects, factors)
            advance(1)
        for name, (kind, table) in transferred.items():
            into.draw(name, getattr(transfer, kind), table)
            advance(1)


def _transfers(page: Page) -> dict[str, tuple[str, TransferTable]]:
    """The experiments of transfer, by the name of their figures: a function of fne_cli.figures.drawn.transfer."""
    found: dict[str, tuple[str, TransferTable]] = {}
    for place, table in enumerate(page.transfers, 1):
        panels = main_panels(table)
        kinds = ["accuracies"] if panels else []
        kinds += ["decomposition"] if any(panel.gaps for panel in panels) else []
        found |= {f"transfer{'' if place == 1 else f'.{place}'}.{kind}": (kind, table) for kind in kinds}
    return found


def _effects(page: Page) -> dict[str, FactorTable]:
    """The factors that have some, by the name of their figure."""
    found = [factors for factors in page.factors if factors.effects]
    return {f"effects{'' if place == 1 else f'.{place}'}": factors for place, factors in enumerate(found, 1)}


def named(groups: Sequence[Group]) -> dict[str, tuple[str, Group]]:
    """The figures by the name of their file: which, and of what."""
    stems = [_stem(group) for group in groups]
    told = [
        stem if stems.count(stem) == 1 else f"{stem}.{file_name(group.protocol, 40)}"
        for stem, group in zip(stems, groups, strict=True)
    ]
    found: dict[str, tuple[str, Group]] = {}
    for place, (name, group) in enumerate(zip(told, groups, strict=True)):
        number = f".{told[:place].count(name) + 1}" if told.count(name) > 1 else ""
        found |= {f"{name}{number}.{kind}": (kind, group) for kind in _kinds(group)}
    return found


def _stem(group: Group) -> str:
    return ".".join(file_name(part, 40) for part in (group.dataset, group.network, group.pooling) if part) or "results"


def _kinds(group: Group) -> list[str]:
    """Names of functions in fne_cli.figures.drawn.results."""
    last = group.sizes[-1]
    layers = [row for row in group.rows if not row.whole and last in row.points]
    kinds = ["by_layer"] if len(layers) > 1 else []
    kinds += ["learning_curve"] if sum(size is not None for size in group.sizes) > 1 else []
    kinds += ["confusion"] if group.confusion is not None else []
    return [*kinds, "by_class"] if group.views else kinds
