"""What commands share: the command class with --config, -q and -v, and options of two commands."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fne_cli.cli import kinds
from fne_cli.cli.console import Console

FILE = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)


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
        """As click does it; where one of several paths is missing, say how many were given, and which are needed."""
        given = list(args)  # click takes them out of its own
        try:
            return super().parse_args(ctx, args)
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
        return super().invoke(ctx)


def _words(found: Any) -> list[str]:
    """What click's parser found for an argument: one word, several, or none."""
    return [word for word in (found if isinstance(found, tuple | list) else (found,)) if isinstance(word, str)]


def _option_names(command: click.Command) -> list[str]:
    return [param.name for param in command.params if isinstance(param, click.Option) and param.name]


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
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
    known = [name for name in _option_names(ctx.command) if name != "config"]
    values = {}
    for key, value in tables.get(ctx.info_name or "", {}).items():
        name = key.replace("-", "_")
        if name not in known:
            raise click.UsageError(f"--config {path}, table {ctx.info_name}: {_unknown(key, known)}", ctx)
        option = next(option for option in ctx.command.params if option.name == name)
        try:
            option.type_cast_value(ctx, value)
        except (TypeError, AttributeError) as error:  # click's own kinds know texts and numbers only
            kind = option.type.name
            raise click.UsageError(f"--config {path}, {key} should be {kind}. Found: {value!r}.", ctx) from error
        values[name] = value
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


def overwrite(function: Callable[..., Any]) -> Callable[..., Any]:
    """--overwrite, of every command with an output file."""
    return click.option("--overwrite", is_flag=True, help="Replace an output made with other inputs or settings.")(
        function
    )


def cluster(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cluster, of the commands that many machines may share."""
    return click.option(
        "--cluster",
        metavar="SPEC",
        help="Share the work: local:4 (processes here), tcp://HOST:8786 (a Dask scheduler), slurm, or a cluster.toml.",
    )(function)


def layers(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--layers, with what it chooses from."""
    return click.option("--layers", type=kinds.Names(), default=(), help=text)


def averaged(function: Callable[..., Any]) -> Callable[..., Any]:
    """--pool of a file that is pooled already."""
    return click.option(
        "--pool",
        type=click.Choice(["avg"]),
        help="Of files pooled to a grid (avg:2) the averages over maps: the mean of the cells, if they have one size; "
        "else it is refused.",
    )(function)


def projection(function: Callable[..., Any]) -> Callable[..., Any]:
    """--projection, of what compares or measures rows of activations."""
    return click.option(
        "--projection",
        type=FILE,
        help="File of fne reduce: its embedding, layers and pooling, as it was learned there; instead of --embedding.",
    )(function)


def root(function: Callable[..., Any]) -> Callable[..., Any]:
    """--root, of what lists images."""
    return click.option(
        "--root",
        type=click.Path(file_okay=False),
        help="Folder that a manifest's or list's paths start from.  [default: the manifest's own]",
    )(function)


def boxes(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--boxes, of what knows where objects are. text: what for."""
    return click.option(
        "--boxes",
        metavar="ANNOTATIONS",
        type=click.Path(),
        help=f"{text} A folder of PASCAL VOC's XML, COCO's .json, or a .csv with path, label, x0, y0, x1, y1.",
    )


def label_column(function: Callable[..., Any]) -> Callable[..., Any]:
    """--label-column, of what takes classes from lists of images."""
    return click.option(
        "--label-column",
        metavar="NAME",
        default="label",
        show_default=True,
        help="Column of a manifest that names the class of each image.",
    )(function)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json, of every command with a result on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


def batch_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """--batch-size of the streaming commands."""
    return click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        default=32768,
        show_default=True,
        help="Rows of a layer in memory at once, over all threads (whole chunks of the file, at least one).",
    )(function)


def thresholds(function: Callable[..., Any]) -> Callable[..., Any]:
    """--thresholds of the ternary codes."""
    return click.option(
        "--thresholds",
        type=kinds.Thresholds(),
        default=(-0.25, 0.15),
        show_default="-0.25,0.15",
        metavar="LOW,HIGH|BEHAVIOR",
        help="z < LOW becomes -1, z > HIGH becomes 1. Or the file of fne analyze that has them.",
    )(function)


def queries(function: Callable[..., Any]) -> Callable[..., Any]:
    """--queries and --among, of what compares images with each other."""
    asked = click.option(
        "--queries",
        default="all",
        show_default=True,
        metavar="SPLIT",
        help="Images that are looked for: a split, or all.",
    )
    among = click.option(
        "--among", default="all", show_default=True, metavar="SPLIT", help="Images that they are compared with."
    )
    return asked(among(function))


def _together(*chosen: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[..., Any]:
    """Several options as one, in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(chosen):
            function = option(function)
        return function

    return add


def embedded(default: str) -> Callable[..., Any]:
    """What becomes of activations. default: what the help says that they become without these options."""
    return _together(
        click.option(
            "--embedding",
            type=kinds.EmbeddingName(),
            help="What to make of activations: fne for the ternary codes, or pieces such as z,root,pca:128,whiten; "
            f"docs/evaluation.md has them all.  {default}",
        ),
        projection,
        click.option(
            "--rows",
            help="Images that an embedding is fitted to: a split, or all.  [default: train; all without splits]",
        ),
        thresholds,
        averaged,
    )


def vectors(function: Callable[..., Any]) -> Callable[..., Any]:
    """What becomes of rows before they are compared, and how they are."""
    options = _together(
        layers("Layers to use, names or globs.  [default: all]"),
        embedded("[default: l2]"),
        click.option(
            "--metric",
            type=click.Choice(["cosine", "l1", "euclid"]),
            help="By the angle, by the sum of absolute differences of codes, or Euclid's.  [default: l1 for codes, "
            "cosine else]",
        ),
    )
    found: Callable[..., Any] = options(function)
    return found


def with_output(files: tuple[Path, ...], ending: str, name: str, inputs: str) -> tuple[tuple[Path, ...], Path | None]:
    """The inputs, and the output if the last file has its ending. Raises UsageError if that stands elsewhere."""
    *given, last = files
    if any(file.suffix.lower() == ending for file in (given or files)):
        raise click.UsageError(f"{name}, the {ending} file, comes last, after {inputs}.")
    return (tuple(given), last) if last.suffix.lower() == ending else (files, None)
