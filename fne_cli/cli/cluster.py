"""fne cluster."""

from __future__ import annotations

import time

import click

from fne_cli.cli import options
from fne_cli.cli.console import Console
from fne_cli.errors import Stopped


@click.command(cls=options.Command)
@click.argument("spec")
@click.option("--dry-run", is_flag=True, help="Print the job script of a worker, and stop.")
def cluster(progress: Console, spec: str, dry_run: bool) -> None:
    """Start workers, and keep them for several commands.

    They stay until Ctrl-C or SIGTERM (exit code 0). SPEC is what --cluster takes. The other commands then find the
    workers by --cluster tcp://HOST:PORT, the address that is printed. docs/clusters.md says what may stand in a
    cluster.toml.

    \b
    Example: fne cluster cluster.toml --dry-run
    """
    from fne_cli.clusters.named import check_dask
    from fne_cli.clusters.parsing import parse

    wanted = parse(spec)
    check_dask()
    if dry_run:
        from fne_cli.clusters.slurm import job_script

        click.echo(job_script(wanted), nl=False)
        return
    from fne_cli.clusters.engine import DaskEngine

    with DaskEngine.open(wanted, progress) as engine:
        click.echo(engine.address)
        try:
            while True:
                engine.keep()
                time.sleep(1)
        except Stopped:
            progress.note("stopping the workers; commands that use them will say that the scheduler is gone")
