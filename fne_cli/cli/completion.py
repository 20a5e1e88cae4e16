"""fne completion."""

from __future__ import annotations

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console


@click.command(cls=options.Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(progress: Console, shell: str) -> None:
    """Print what makes SHELL complete the commands and options.

    \b
    Example: fne completion bash >> ~/.bashrc
             fne completion zsh >> ~/.zshrc
             fne completion fish > ~/.config/fish/completions/fne.fish
    """
    from click.shell_completion import get_completion_class

    from fne_cli.cli.main import fne

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"This version of click has no completion for {shell}.")
    maker = kind(fne, {}, "fne", "_FNE_COMPLETE")
    click.echo(maker.source_template % maker.source_vars())
