"""Predictions -> the images that are most confidently wrong, as small pictures."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fne_cli.errors import BadInput, FneError, WrongFile
from fne_cli.figures.contents import Group, Row, Wrong
from fne_cli.images.thumbnails import encoded, find, thumbnails
from fne_cli.steps.report.sources import Evaluated, extraction
from fne_cli.steps.report.tables import Tables
from fne_cli.store.other.predictions import Prediction, read_predictions
from fne_cli.store.output.noted import check_noted
from fne_cli.store.output.notes import read_record

SHOWN = 24
SIDE = 128  # pixels
_PREDICTIONS = "fne evaluate --predictions FILE.csv writes them, --predictions FILE.csv here takes them."


@dataclass(frozen=True)
class Sought:
    """What the command line says of predictions and images; those of an experiment are found by themselves."""

    predictions: Sequence[Path] = ()
    images: str | None = None
    root: str | None = None


def matched(evaluated: Sequence[Evaluated], paths: Sequence[Path]) -> dict[str, Path]:
    """The predictions that belong to each results file. Raises BadInput or WrongFile for a file that is of none."""
    digests = {_digest(each): str(each.results.path) for each in evaluated}
    found: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise BadInput(
                f"--predictions {path} should be what fne evaluate --predictions wrote. Found: no such file."
            )
        digest = read_record(path).get("fingerprint")
        if not isinstance(digest, str) or digest not in digests:
            raise WrongFile(
                f"--predictions {path} should belong to one of the results. Found: "
                f"{'those of another evaluation' if digest else f'no record {path.name}.run.json beside it'}.\n"
                "Make both at once: fne evaluate FEATURES RESULTS.json --predictions FILE.csv"
            )
        found[digests[digest]] = path
    for each in evaluated:
        if (
            each.cell
            and each.cell.predictions
            and read_record(each.cell.predictions).get("fingerprint") == _digest(each)
        ):
            found.setdefault(str(each.results.path), each.cell.predictions)
    return found


def _digest(each: Evaluated) -> str:
    """What fne evaluate notes beside the predictions of these results."""
    return hashlib.sha256(f"predictions {each.results.fingerprint}".encode("utf-8", "backslashreplace")).hexdigest()


def most_wrong(
    group: Group, members: Sequence[Evaluated], predictions: Mapping[str, Path], tables: Tables, sought: Sought
) -> tuple[list[Wrong], str, list[str]]:
    """The images of a group, what said so of them, and what there is to note."""
    row = group.views[0].row if group.views else group.rows[0]
    having = [each for each in members if str(each.results.path) in predictions]
    if not having:
        # an experiment keeps those that it can; a group without views is not looked at closely
        silent = any(each.cell for each in members) or not group.views
        return [], "", [] if silent else [f"Images that are wrong are not shown: no predictions. {_PREDICTIONS}"]
    each = next((one for one in having if _is_of(one, row)), having[0])
    names = {entry.name for entry in each.results.entries}
    name = row.name if row.name in names else each.results.entries[0].name
    ignored = tables.ignored_of(each.results.path)
    path = predictions[str(each.results.path)]
    entry = each.results.entries[0]
    try:
        worst = _worst(path, name, entry.classes, entry.several, ignored)
    except FneError as error:
        if each.cell is None:
            raise
        return [], "", [str(error)]
    digests = tables.digests_of(each.results.path)
    pictures, notes = _pictures(each, [wrong.path for wrong in worst], digests, sought)
    shown = [
        Wrong(one.path, one.truth, one.said, one.margin, image, why)
        for one, (image, why) in zip(worst, pictures, strict=True)
    ]
    called = each.embedding or name
    titles = [one.title for one in group.rows if one.name == called]
    return shown, titles[0] if len(titles) == 1 else called, notes


def _is_of(each: Evaluated, row: Row) -> bool:
    """Whether an evaluation measured a row."""
    return row.name == each.embedding if each.embedding else any(row.name == one.name for one in each.results.entries)


def _worst(
    path: Path, name: str, classes: Sequence[str], several: bool, ignored: Mapping[str, np.ndarray]
) -> list[Wrong]:
    """The images with the largest margin between what was said and what is true, each once."""
    place = {one: number for number, one in enumerate(classes)}
    found: dict[str, Wrong] = {}
    check_noted(path)
    for one in read_predictions(path, classes):
        if one.embedding != name:
            continue
        wrong = _of_several(one, classes, place, ignored.get(one.path)) if several else _of_one(one, place)
        if wrong is not None and (one.path not in found or found[one.path].margin < wrong.margin):
            found[one.path] = wrong
    return heapq.nsmallest(SHOWN, found.values(), key=lambda wrong: (-wrong.margin, wrong.path))


def _of_one(one: Prediction, place: Mapping[str, int]) -> Wrong | None:
    if one.prediction == one.truth or one.truth not in place or one.prediction not in place:
        return None
    margin = float(one.decisions[place[one.prediction]] - one.decisions[place[one.truth]])
    return Wrong(one.path, one.truth, one.prediction, margin, None, "") if np.isfinite(margin) else None


def _of_several(
    one: Prediction, classes: Sequence[str], place: Mapping[str, int], ignored: np.ndarray | None
) -> Wrong | None:
    """The class that is said with the highest decision and is absent, or is present and has the lowest."""
    present = np.zeros(len(classes), bool)
    # names may have semicolons in them; then what is present is not known
    present[[place[name] for name in one.truth.split(";") if name in place]] = True
    margin = np.where(present, -one.decisions, one.decisions)
    counted = np.isfinite(margin) if ignored is None else np.isfinite(margin) & ~ignored
    margin = np.where(counted, margin, -np.inf)
    worst = int(margin.argmax())
    if margin[worst] <= 0:
        return None
    said = classes[worst] if not present[worst] else f"not {classes[worst]}"
    return Wrong(one.path, one.truth.replace(";", ", "), said, float(margin[worst]), None, "")


def _pictures(
    each: Evaluated, paths: Sequence[str], digests: Mapping[str, str], sought: Sought
) -> tuple[list[tuple[bytes | None, str]], list[str]]:
    """For each image a JPEG file, or None and why there is none; and what there is to note."""
    resize: Literal["squash", "crop"] = "crop" if extraction(each.results).get("resize") == "crop" else "squash"
    known = [digests.get(path, "") for path in paths]
    tried = ""
    if sought.images and paths:
        shown = thumbnails(find(sought.images, paths, sought.root), SIDE, resize, known)
        if any(pixels is not None for pixels, _ in shown):
            return _encoded(shown), []
        tried = f"{paths[0]} {shown[0][1]} in {sought.images}"
        if each.cell is None:
            raise BadInput(f"--images {sought.images} should have the images of the results. Found: {tried}.")
    if paths and each.cell and each.cell.images:
        try:
            if each.cell.images == "-":
                raise BadInput("Their paths came from standard input.")
            places = find(each.cell.images, paths, each.cell.root)
        except BadInput as error:
            tried = tried or str(error)
        else:
            # An experiment from elsewhere names any folder of ours; only images that it knows the bytes of are shown.
            shown = thumbnails(places, SIDE, resize, [digest or "unknown" for digest in known])
            if any(pixels is not None for pixels, _ in shown):
                return _encoded(shown), []
            tried = tried or f"{paths[0]} {shown[0][1]} in {each.cell.images}"
    why = f": {tried.rstrip('.')}" if tried else ""
    notes = [f"Images are named but not shown{why}. --images says where they are."]
    return [(None, "not shown")] * len(paths), notes if paths else []


def _encoded(shown: Sequence[tuple[np.ndarray | None, str]]) -> list[tuple[bytes | None, str]]:
    return [(None if pixels is None else encoded(pixels), why) for pixels, why in shown]
