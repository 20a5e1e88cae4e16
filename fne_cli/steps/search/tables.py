"""What was found as lines for other tools: CSV, or JSON with an object for each query."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from fne_cli.errors import WrongOptions
from fne_cli.numerics.neighbours.search import Found
from fne_cli.steps.search.sides import Sides
from fne_cli.store.other.cells import as_cell

ENDINGS = (".csv", ".jsonl", ".html")
COLUMNS = ("query", "query_label", "query_split", "rank", "metric", "distance", "neighbour", "label", "split")


def is_output(path: str) -> bool:
    """Whether a path has an ending of what a search writes."""
    return path.lower().endswith(ENDINGS)


def check_ending(output: Path) -> str:
    """The ending of an output. Raises WrongOptions for another one."""
    ending = output.suffix.lower()
    if ending not in ENDINGS:
        raise WrongOptions(f"{output} should end in {', '.join(ENDINGS)}. Found: {ending or 'no ending'}.")
    return ending


def objects(sides: Sides, metric: str, found: Iterable[tuple[slice, Found]]) -> Iterator[dict[str, Any]]:
    """An object for each query, in order: its path, label and split, and its neighbours, the nearest first."""
    queries, others = sides.queries, sides.others
    for span, part in found:
        for number in range(len(part)):
            places, distances = part.of(number)
            query = span.start + number
            yield {
                "query": queries.path[query],
                "label": queries.label[query],
                "split": queries.split[query],
                "metric": metric,
                "neighbours": [
                    {
                        "path": others.path[place],
                        "label": others.label[place],
                        "split": others.split[place],
                        "distance": distance,
                    }
                    for place, distance in zip(places.tolist(), distances.tolist(), strict=True)
                ],
            }


def write_csv(file: TextIO, lines: Iterable[Mapping[str, Any]]) -> None:
    """A line for each neighbour of each query; names stand in it as `cells.as_cell` has them."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        own = tuple(as_cell(line[name]) for name in ("query", "label", "split"))
        for rank, near in enumerate(line["neighbours"], 1):
            names = (as_cell(near[name]) for name in ("path", "label", "split"))
            writer.writerow((*own, rank, line["metric"], repr(near["distance"]), *names))


def write_json_lines(file: TextIO, lines: Iterable[Mapping[str, Any]]) -> None:
    """An object on a line for each of `lines`."""
    for line in lines:
        file.write(json.dumps(line) + "\n")
