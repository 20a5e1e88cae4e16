"""The command ``fne``: its commands, loaded when they are called, and how an error ends it."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from fne_cli.cli.console import Console
from fne_cli.errors import FneError, Stopped
from fne_cli.unprintable import plain_lines
from fne_cli.version import __version__

GROUPS: dict[str, tuple[str, ...]] = {
    "Pipeline": ("extract", "normalize", "discretize", "evaluate", "predict"),
    "Analysis": ("analyze", "features", "plot", "rank"),
    "Experiments": ("run", "report", "config"),
    "Files": ("info", "verify", "merge", "export"),
    "Setup": ("layers", "sample", "split", "cluster", "completion"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


class LazyGroup(click.Group):
    """Finds a command in the module of its name, so that `fne --help` loads nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command `name`, or None."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"fne_cli.cli.{name}"), name)
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
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `fne layers vgg16 | head` ends quietly, as other commands do
    try:
        code = fne.main(arguments, prog_name="fne", standalone_mode=False)
    except (FneError, Stopped) as error:
        sys.stderr.write(f"fne: {plain_lines(str(error))}\n")
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except MemoryError:
        print("fne: out of memory. Use a smaller --batch-size or --memory, or fewer --layers.", file=sys.stderr)
        code = 1
    Console.restore()
    sys.exit(code if isinstance(code, int) else 0)
