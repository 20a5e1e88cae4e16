"""The command ``fne``: its commands, loaded when they are called, and how an error ends it."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

from fne_cli import imports
from fne_cli.cli.console import Console, say
from fne_cli.errors import FneError, Stopped, is_of_memory
from fne_cli.unprintable import plain
from fne_cli.version import __version__

GROUPS: dict[str, tuple[str, ...]] = {
    "Pipeline": ("try", "vocabulary", "extract", "normalize", "discretize", "reduce", "evaluate", "predict", "detect"),
    "Analysis": ("analyze", "features", "map", "plot", "rank", "scatter", "search", "retrieve"),
    "Experiments": ("run", "report", "train", "tune", "transfer", "config"),
    "Files": ("info", "verify", "merge", "export"),
    "Setup": ("doctor", "layers", "sample", "split", "cluster", "completion"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
MODULES = {"try": "attempt"}
"""What modules, and functions, of commands are called whose name is a word of Python."""


class LazyGroup(click.Group):
    """Finds a command in the module of its name, so that `fne --help` loads nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command `name`, or None."""
        if name not in COMMANDS:
            return None
        module = MODULES.get(name, name)
        command: click.Command = getattr(importlib.import_module(f"fne_cli.cli.{module}"), module)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; an unknown command names the nearest known one."""
        import difflib

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else " fne --help lists them."
            raise click.UsageError(f"There is no command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section for each group, one line for each command."""
        for title, names in GROUPS.items():
            with formatter.section(title):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in commands if command])


@click.group(cls=LazyGroup, context_settings={"auto_envvar_prefix": "FNE", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fne", message="%(prog)s %(version)s")
def fne() -> None:
    """Full-network embeddings: images -> activations -> moments -> ternary codes -> accuracy.

    \b
    fne extract photos/ photos.h5 --model vgg16
    fne normalize photos.h5 moments.h5
    fne discretize photos.h5 moments.h5 codes.h5
    fne evaluate codes.h5
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that the table in docs/cli.md gives it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    imports.claim()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `fne layers vgg16 | head` ends quietly, as other commands do
    _occupy()
    _name_output()
    code = _run(arguments)
    Console.restore()
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is not None and _refusal(stream):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)  # or Python fails again when it ends
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """The exit code; whatever went wrong has been told."""
    try:
        code = fne.main(arguments, prog_name="fne", standalone_mode=False)
        if refusal := _refusal(sys.stdout):
            raise refusal
        return code if isinstance(code, int) else 0
    except (FneError, Stopped) as error:
        say(sys.stderr, f"fne: {error}")
        return error.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except Exception as error:
        if is_of_memory(error):
            told = str(error).strip().split("\n")[0][:200]
            found = f" ({plain(told)})" if told else ""
            say(sys.stderr, f"fne: out of memory{found}. Use a smaller --batch-size or --memory, or fewer --layers.")
        elif isinstance(error, OSError):
            reason = error.strerror or str(error)
            named = error.filename is not None
            told = f"{os.fsdecode(error.filename)} cannot be used: {reason}." if named else f"{reason}."
            say(sys.stderr, f"fne: {plain(told)}")
        else:
            raise
        return 1


def _refusal(stream: TextIO | None) -> OSError | None:
    """Why a stream does not take what was written to it, if it does not: a full disk, mostly."""
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        return error
    return None


class _Output(io.FileIO):
    """Standard output, whose errors say that they are its own: those of files that are read say nothing."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content) or 0
        except OSError as error:
            error.filename = "standard output"
            raise


def _name_output() -> None:
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:  # else somebody else looks after it
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(sys.stdout.fileno(), "wb", closefd=False)),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=sys.stdout.isatty(),
        )


def _occupy() -> None:
    """Of standard input, output and error have none closed: a file of ours would get its number, and others' words."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
