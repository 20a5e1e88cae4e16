"""fne config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console
from fne_cli.cli.run import known_options
from fne_cli.unprintable import plain, plain_json


@click.command(cls=options.Command)
@click.argument("action", type=click.Choice(["show"]))
@click.argument("experiment", metavar="CONFIG", type=options.FILE)
@click.option("--set", "overrides", metavar="TABLE.KEY=VALUE", multiple=True, help="As in fne run.")
@options.as_json
def config(progress: Console, action: str, experiment: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Show every value of an experiment of fne run or fne transfer, and where it comes from.

    That is CONFIG, --set, or the default. Variables such as FNE_EXTRACT_BATCH_SIZE do not reach an experiment: CONFIG
    alone says what it is.

    \b
    Example: fne config show configs/digits.toml
             fne config show configs/digits.toml --set networks.mini.batch_size=64
    """
    from fne_cli.experiments.transfer.reading import read_transfer
    from fne_cli.experiments.written.reading import read_experiment
    from fne_cli.experiments.written.tables import overridden

    transfers = "transfer" in overridden(experiment, overrides)[0]
    found = (read_transfer if transfers else read_experiment)(experiment, overrides, known_options())
    if as_json:
        tables = {
            name: {key: {"value": _plain(entry.value), "from": entry.origin} for key, entry in table.items()}
            for name, table in found.effective()
        }
        click.echo(plain_json(tables))
        return
    for name, table in found.effective():
        click.echo(f"[{plain(name)}]")
        lines = [(f"{key} = {_written(key, entry.value)}", entry.origin) for key, entry in table.items()]
        width = min(50, max((len(text) for text, _ in lines), default=0))
        for text, origin in lines:
            unset = "# " if text.endswith("= none") else ""
            click.echo(plain(f"{unset}{text:{width}}  # {origin}"))
        click.echo()


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _written(key: str, value: Any) -> str:
    """The value as it may stand in CONFIG: one split as itself, lists of a split by their names."""
    if key == "split" and isinstance(value, tuple):
        splits = [
            {"list" if name == "lists" else name: dict(one) if name == "lists" else one for name, one in ways.items()}
            for ways in value
        ]
        value = splits[0] if len(splits) == 1 else splits
    return _toml(_plain(value))


def _toml(value: Any) -> str:
    """A value as TOML has it; none stands for what is left to the command."""
    match value:
        case None | []:
            return "none"
        case bool():
            return "true" if value else "false"
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            text = json.dumps(value, ensure_ascii=False)
            return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
        case _:
            return str(value)
