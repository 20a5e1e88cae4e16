"""The class of all commands: --config, -q and -v, variables, and what is said of a command line."""

from __future__ import annotations

import dataclasses
import difflib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fne_cli.cli.console import Console
from fne_cli.errors import TooManyBad
from fne_cli.unprintable import plain_json

_GIVEN = "fne_cli.given"
"""Of a context: the words behind the command's name."""


class Command(click.Command):
    """A command that reads its options from the command line, FNE_<COMMAND>_<OPTION>, and --config, in this order.

    Its function is called with `progress`, the console, in place of -q and -v; and with the workers that --cluster
    names, None without it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["--config"],
                type=click.Path(path_type=Path, dir_okay=False),
                is_eager=True,
                expose_value=False,
                callback=_read_config,
                help="TOML file with a table per command; flags and variables win over it.",
            ),
            click.Option(["-q", "--quiet"], is_flag=True, help="Print results and errors only."),
            click.Option(["-v", "--verbose"], is_flag=True, help="Say more about what happens."),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it; where one of several paths is missing, say how many were given, and which are needed.

        For an option that there is not, none is proposed that the help does not show.
        """
        given = ctx.meta[_GIVEN] = list(args)  # click takes them out of its own
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            former = {name for param in self.params if isinstance(param, Renamed) for name in param.opts[1:]}
            near = [name for name in error.possibilities or () if name not in former]
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx) from error
        except click.MissingParameter as error:
            paths = [param for param in self.params if isinstance(param, click.Argument)]
            count = sum(param.required for param in paths)
            if error.param not in paths or count < 2 or paths[0].nargs != -1:
                raise
            found, _, _ = self.make_parser(ctx).parse_args(given)
            words = [word for param in paths for word in _words(found.get(param.name or ""))]
            names = " ".join(param.make_metavar(ctx) for param in paths)
            told = f"{len(words)}, {' '.join(words)}" if words else "none"
            raise click.UsageError(f"{names} should be {count} paths or more. Found: {told}.", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Check the environment, then call the function with a console."""
        _check_environment(ctx)
        quiet, verbose = ctx.params.pop("quiet"), ctx.params.pop("verbose")
        console = ctx.params["progress"] = Console(quiet, verbose)
        ctx.with_resource(console.alone())  # the first that is opened, and closed after all others
        if ctx.params.get("cluster") is not None:
            from fne_cli.clusters.named import named

            ctx.params["cluster"] = named(ctx.params["cluster"], console, ctx.with_resource)
        try:
            return super().invoke(ctx)
        except TooManyBad as error:
            raise error.by(_again(ctx, "--max-bad", str(error.bad))) from error


def print_json(done: Any, made: Sequence[str] = (), **more: Any) -> None:
    """Print a result, a frozen dataclass, as one JSON object, and `more` in it.

    made: what is only known of a result that was made now; null if it was up to date.
    """
    unknown = dict.fromkeys(made if getattr(done, "up_to_date", False) else ())
    click.echo(plain_json(_plain(dataclasses.asdict(done) | unknown | more)))


def _plain(value: Any) -> Any:
    """What JSON has: paths are text."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _again(ctx: click.Context, option: str, value: str) -> str:
    """The command line that was typed, for a shell, with another value of an option."""
    given: list[str] = ctx.meta[_GIVEN]
    kept = [
        word
        for before, word in zip(["", *given], given, strict=False)
        if option not in (before, word) and not word.startswith(f"{option}=")
    ]
    end = kept.index("--") if "--" in kept else len(kept)
    return shlex.join([*ctx.command_path.split(), *kept[:end], option, value, *kept[end:]])


def _words(found: Any) -> list[str]:
    """What click's parser found for an argument: one word, several, or none."""
    return [word for word in (found if isinstance(found, tuple | list) else (found,)) if isinstance(word, str)]


class Renamed(click.Option):
    """An option whose first name is the one that is shown; those after it are of before, and still taken."""

    @property
    def shown(self) -> str:
        """Its name as variables and tables have it."""
        return self.opts[0].lstrip("-").replace("-", "_")

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """As click does it, of the first name."""
        opts, self.opts = self.opts, self.opts[:1]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = opts


def _option_names(command: click.Command) -> dict[str, str]:
    """The names of options in variables and tables, and what click calls them."""
    found = {param.name: param.name for param in command.params if isinstance(param, click.Option) and param.name}
    return found | {param.shown: param.name for param in command.params if isinstance(param, Renamed) and param.name}


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"--config {path} should be a TOML file. Found: {error.strerror}.", ctx) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--config {path} should be TOML. Found: {error}.", ctx) from error
    from fne_cli.cli.main import COMMANDS

    for name, value in tables.items():
        if name not in COMMANDS or not isinstance(value, dict):
            raise click.UsageError(f"--config {path} should have a table per command. {_unknown(name, COMMANDS)}", ctx)
    known = {shown: name for shown, name in _option_names(ctx.command).items() if name != "config"}
    values = {}
    for key, value in tables.get(ctx.info_name or "", {}).items():
        name = key.replace("-", "_")
        if name not in known:
            raise click.UsageError(f"--config {path}, table {ctx.info_name}: {_unknown(key, known)}", ctx)
        option = next(option for option in ctx.command.params if option.name == known[name])
        try:
            option.type_cast_value(ctx, value)
        except (TypeError, AttributeError) as error:  # click's own kinds know texts and numbers only
            kind = option.type.name
            raise click.UsageError(f"--config {path}, {key} should be {kind}. Found: {value!r}.", ctx) from error
        values[known[name]] = value
    ctx.default_map = values


def _check_environment(ctx: click.Context) -> None:
    prefix = f"FNE_{(ctx.info_name or '').upper()}_"
    known = [prefix + name.upper() for name in _option_names(ctx.command)]
    for name in os.environ:
        if name.startswith(prefix) and name not in known:
            raise click.UsageError(f"The environment has {_unknown(name, known)}", ctx)


def _unknown(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
    return f"Unknown: {name!r}." + (f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}.")
