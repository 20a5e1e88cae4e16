"""Write docs/man/*.1 from the commands' own help; the wheel installs them. `--check` only compares."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click

from fne_cli.cli.main import COMMANDS, GROUPS, fne
from fne_cli.version import __version__

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "man"
EXITS = (
    ("0", "done, or up to date"),
    ("1", "an error; the message says what should be, what was found, and what to do"),
    ("2", "the command line is wrong"),
    ("3", "finished, but more images are bad than --max-bad allows"),
    ("4", "the output exists and was made with other inputs or settings"),
    ("5", "another process is writing the output"),
    ("130, 143", "stopped by a signal; what was done is kept, and the same command goes on"),
)


def escaped(text: str) -> str:
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def section(title: str, *lines: str) -> str:
    """A section with its lines."""
    return "\n".join([f".SH {title}", *lines])


def paragraphs(text: str) -> list[str]:
    """A help text: what stands behind \\b keeps its lines."""
    found = []
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b\n"):
            found += [".PP", ".nf", escaped(part[2:]), ".fi"]
        else:
            found += [".PP", escaped(" ".join(part.split()))]
    return found


def context(command: click.Command, name: str) -> click.Context:
    """The context in which help is asked for."""
    return click.Context(command, info_name=name, parent=click.Context(fne, info_name="fne"))


def head(name: str, brief: str) -> str:
    """Title and name."""
    return f'.TH "{escaped(name.upper())}" 1 "" "fne {__version__}" "fne"\n' + section(
        "NAME", f"{escaped(name)} \\- {escaped(brief)}"
    )


def options(command: click.Command, ctx: click.Context) -> list[str]:
    """A tagged paragraph for each option."""
    records = [param.get_help_record(ctx) for param in command.get_params(ctx) if isinstance(param, click.Option)]
    return [line for record in records if record for line in (".TP", f".B {escaped(record[0])}", escaped(record[1]))]


def page(name: str) -> str:
    """The page of a command."""
    command = fne.get_command(click.Context(fne, info_name="fne"), name)
    assert command is not None
    ctx = context(command, name)
    usage = " ".join(command.collect_usage_pieces(ctx))
    body, _, examples = (command.help or "").partition("\b\n")
    lines = examples.replace("Example: ", "         ", 1).splitlines()
    return "\n".join([
        head(f"fne-{name}", command.get_short_help_str(120).rstrip(".")),
        section("SYNOPSIS", f".B fne {name}", escaped(usage)),
        section("DESCRIPTION", *paragraphs(body)),
        section("OPTIONS", *options(command, ctx)),
        section("EXAMPLES", ".nf", *(escaped(line.strip()) for line in lines if line.strip()), ".fi"),
        section("EXIT STATUS", *(line for code, what in EXITS for line in (".TP", f".B {code}", escaped(what)))),
        section("SEE ALSO", ".BR fne (1)", ""),
    ])  # fmt: skip


def overview() -> str:
    """The page of fne itself."""
    root = click.Context(fne, info_name="fne")
    commands = []
    for title, names in GROUPS.items():
        commands.append(f".SS {title}")
        for name in names:
            command = fne.get_command(root, name)
            assert command is not None
            brief = command.get_short_help_str(120)
            commands += [".TP", f".BR fne\\-{name} (1)", escaped(brief)]
    return "\n".join([
        head("fne", "full-network embeddings: images, activations, moments, ternary codes, accuracy"),
        section("SYNOPSIS", ".B fne", escaped("COMMAND [OPTIONS] [ARGUMENTS]")),
        section("DESCRIPTION", *paragraphs(fne.help or "")),
        section("COMMANDS", *commands),
        section(
            "ENVIRONMENT", ".TP", escaped("FNE_<COMMAND>_<OPTION>"),
            escaped("An option that the command line does not give, such as FNE_EXTRACT_BATCH_SIZE=32."),
        ),
        section("EXIT STATUS", *(line for code, what in EXITS for line in (".TP", f".B {code}", escaped(what)))),
        "",
    ])  # fmt: skip


def pages() -> dict[str, str]:
    """Every page, by its file's name."""
    return {"fne.1": overview(), **{f"fne-{name}.1": page(name) for name in COMMANDS}}


def main() -> None:
    """Write or compare."""
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")}
    if "--check" in sys.argv[1:]:
        sys.exit(0 if there == wanted else f"{FOLDER} is out of date: run {sys.argv[0]}")
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
