"""The figures of a page as files, once, and again only if asked to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fne_cli.figures.charted.across import Mark, compared
from fne_cli.figures.charted.transfer import main_panels
from fne_cli.figures.contents import Group, Page
from fne_cli.figures.experiments import FactorTable, TransferTable
from fne_cli.figures.names import file_name
from fne_cli.progress import Progress
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.output.origin import Origin

ENDINGS = (".png", ".svg", ".pdf")


def drawings_of(folder: Path, page: Page, digest: str, origin: Origin, width: float | None) -> Drawings:
    """Those of a page, as files of the folder. width: in inches, None for the usual one."""
    if width is not None:
        digest = hashlib.sha256(f"{digest} {width:g}".encode()).hexdigest()
        origin = replace(origin, settings={**origin.settings, "figure_width": width})
    names = [*named(page.groups), *_across(page), *_effects(page), *_transfers(page)]
    return Drawings(folder, "report", names, digest, origin, ENDINGS)


def draw(into: Drawings, page: Page, width: float | None, progress: Progress) -> None:
    """Write every figure; those of several panels keep their width."""
    from fne_cli.figures.drawn import across, effects, results, transfer

    figures, beside, varied, transferred = named(page.groups), _across(page), _effects(page), _transfers(page)
    wide = {} if width is None else {"width": width}
    with into, progress.track(len(figures) + len(beside) + len(varied) + len(transferred), "figures") as advance:
        for name, (kind, group) in figures.items():
            into.draw(name, getattr(results, kind), group, **wide)
            advance(1)
        for name, (kind, marks) in beside.items():
            into.draw(name, getattr(across, kind), marks, **wide)
            advance(1)
        for name, factors in varied.items():
            into.draw(name, effects.effects, factors)
            advance(1)
        for name, (kind, table) in transferred.items():
            into.draw(name, getattr(transfer, kind), table)
            advance(1)


def _across(page: Page) -> dict[str, tuple[str, Sequence[Mark]]]:
    """Those across all that was measured, by name: a function of fne_cli.figures.drawn.across."""
    return {f"across.{kind}": (kind, marks) for kind, marks in compared(page.groups).items()}


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
