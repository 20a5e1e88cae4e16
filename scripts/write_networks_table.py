"""Write the table of networks in docs/networks.md: builds each with random weights, in some minutes and 4 GB.

`--check` only compares, and fails if the page is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fne_cli.networks.backend import forget, load_keras
from fne_cli.networks.catalog import CATALOG, NAMES
from fne_cli.networks.tapping.taps import in_one_line
from fne_cli.steps.layers import layers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
HEAD = """| `--model` | taps | features | image | `--preprocess` | left out |
|---|---|---|---|---|---|
"""
TABLE = re.compile(re.escape(HEAD) + r"(\|.*\n)*")


def row(name: str) -> str:
    """What `fne layers NAME` says, in one line."""
    forget()
    table = layers(name)
    tapped = [line for line in table.rows if line.first_column is not None]
    left = in_one_line(table.left_out) or "nothing"
    assert name == "mini" or table.preprocess == CATALOG[name].preprocess
    height, width = table.image_size
    return f"| `{name}` | {len(tapped)} | {table.features:,} | {height} x {width} | `{table.preprocess}` | {left} |\n"


def main() -> None:
    """Write or compare."""
    load_keras()
    page = PAGE.read_text(encoding="utf-8")
    assert TABLE.search(page), f"{PAGE} should have a table that begins with {HEAD.splitlines()[0]}"
    written = TABLE.sub(lambda match: HEAD + "".join(row(name) for name in NAMES), page)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if page == written else f"{PAGE} is out of date: run {sys.argv[0]}")
    PAGE.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
