"""Write docs/cli.md from the commands' own help. `--check` only compares, and fails if the page is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fne_cli.cli.main import COMMANDS, fne

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """# The command line

This page is written by `scripts/write_cli_docs.py` from the commands' own `--help`; a test keeps it current.

- An option is taken from the command line, else from the variable `FNE_<COMMAND>_<OPTION>`
  (`FNE_EXTRACT_BATCH_SIZE=32`), else from the table `[<command>]` of the TOML file given with `--config`, else it has
  its default. A name that no option has is an error.
- Standard output carries results only; everything else goes to standard error. No colours, so `NO_COLOR` has nothing to
  do.
- An output appears whole or not at all: the work happens in `OUTPUT.partial`. A finished command run again says "up to
  date".

| exit code | meaning |
|---|---|
| 0 | done, or up to date |
| 1 | an error; the message says what should be, what was found, and what to do |
| 2 | the command line is wrong |
| 3 | finished, but more images are bad than `--max-bad` allows |
| 4 | the output exists and was made with other inputs or settings |
| 5 | another process is writing the output |
| 130, 143 | stopped by SIGINT, or by SIGTERM or SIGUSR1; what was done is kept, and the same command goes on |
"""


def page() -> str:
    """The text of docs/cli.md."""
    parts = [HEAD]
    for name in COMMANDS:
        root = click.Context(fne, info_name="fne", terminal_width=100, max_content_width=100)
        command = fne.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root, terminal_width=100, max_content_width=100)
        parts.append(f"## fne {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def main() -> None:
    """Write or compare."""
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE} is out of date: run {sys.argv[0]}")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
