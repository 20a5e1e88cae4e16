"""One call of one step: what it reads, what it writes, the command line that does the same, and the doing."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from fne_cli.experiments.config import Options
from fne_cli.progress import Progress

_T = TypeVar("_T")


@dataclass(frozen=True)
class Cluster:
    """Workers to share a job with: `start` brings them, as the steps take it; `extract` is fne extract by them.

    here: how many of them share the memory of this machine.
    """

    start: Callable[[], AbstractContextManager[Any]]
    extract: Callable[..., Any]
    here: int = 1


@dataclass(frozen=True)
class Job:
    """A step with its options as they were given; the rest is default.

    arguments: its own, in its order. inputs, outputs: files (of `sample` a folder). images: a folder, manifest or
    archive that it reads images from. root: what the paths of a manifest start from.
    """

    command: str
    arguments: tuple[str, ...]
    options: dict[str, Any]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    images: str | None = None
    root: str | None = None

    @property
    def output(self) -> Path:
        """The first of the outputs, which names the job."""
        return self.outputs[0]

    def words(self, options: Options) -> list[str]:
        """The command line that makes the same files."""
        words = ["fne", self.command, *self.arguments]
        for key, value in self.options.items():
            words += _words(options[self.command][key].flag, key, value)
        return words

    def line(self, options: Options) -> str:
        """The same for a shell."""
        return shlex.join(self.words(options))

    def perform(self, overwrite: bool, progress: Progress, cluster: Cluster | None = None) -> None:
        """Make the outputs, or see that they are there. Raises the errors of fne_cli.errors."""
        own: dict[str, Any] = {} if cluster is None or self.command in _ALONE else {"cluster": cluster}
        _STEPS[self.command](self.arguments, dict(self.options), overwrite=overwrite, progress=progress, **own)


def _words(flag: str, key: str, value: Any) -> list[str]:
    if value is True:
        return [flag]
    if value is False or value is None:
        return []
    if key == "lists":
        return [word for split, file in value for word in (flag, f"{split}={file}")]
    if isinstance(value, tuple | list):
        text = ("x" if key == "image_size" else ",").join(map(str, value))
    else:
        text = str(value)
    return [f"{flag}={text}"] if text.startswith("-") or flag == "--thresholds" else [flag, text]


def taken(kind: type[_T], options: dict[str, Any]) -> _T:
    """What the options say of a dataclass, Recipe or Protocol; they are the rest then."""
    names = {entry.name for entry in dataclasses.fields(cast("type[Any]", kind))}
    return kind(**{key: options.pop(key) for key in list(options) if key in names})


def _sample(arguments: tuple[str, ...], options: dict[str, Any], **more: Any) -> None:
    from fne_cli.steps.sample import sample

    dataset: Any  # one of those that config.py knows
    dataset, folder = arguments
    sample(dataset, Path(folder), **options, **more)


def _split(arguments: tuple[str, ...], options: dict[str, Any], **more: Any) -> None:
    from fne_cli.steps.split import split

    images, manifest = arguments
    split(images, Path(manifest), **options, **more)


def _extract(arguments: tuple[str, ...], options: dict[str, Any], cluster: Cluster | None = None, **more: Any) -> None:
    from fne_cli.steps.extract import Recipe, extract

    images, activations = arguments
    recipe = taken(Recipe, options)
    if cluster is None:
        extract(images, Path(activations), recipe, **options, **more)
    else:
        cluster.extract(cluster.start, images, Path(activations), recipe, **options, **more)


def _normalize(
    arguments: tuple[str, ...], options: dict[str, Any], cluster: Cluster | None = None, **more: Any
) -> None:
    from fne_cli.steps.normalize import normalize

    activations, moments = arguments
    normalize(Path(activations), Path(moments), cluster=_start(cluster), **options, **more)


def _discretize(
    arguments: tuple[str, ...], options: dict[str, Any], cluster: Cluster | None = None, **more: Any
) -> None:
    from fne_cli.steps.discretize import discretize

    activations, moments, codes = arguments
    discretize(Path(activations), Path(moments), Path(codes), cluster=_start(cluster), **options, **more)


def _analyze(arguments: tuple[str, ...], options: dict[str, Any], cluster: Cluster | None = None, **more: Any) -> None:
    from fne_cli.steps.analyze import analyze

    activations, behavior = arguments
    analyze(Path(activations), Path(behavior), cluster=_start(cluster), **options, **more)


def _evaluate(arguments: tuple[str, ...], options: dict[str, Any], cluster: Cluster | None = None, **more: Any) -> None:
    from fne_cli.steps.evaluate import Protocol, evaluate

    features, results = arguments
    protocol = taken(Protocol, options)
    here = 1 if cluster is None else cluster.here
    evaluate(Path(features), Path(results), protocol=protocol, cluster=_start(cluster), here=here, **options, **more)


def _start(cluster: Cluster | None) -> Callable[[], AbstractContextManager[Any]] | None:
    return None if cluster is None else cluster.start


_ALONE = ("sample", "split")  # seconds of work
_STEPS: dict[str, Callable[..., None]] = {
    "sample": _sample,
    "split": _split,
    "extract": _extract,
    "normalize": _normalize,
    "discretize": _discretize,
    "analyze": _analyze,
    "evaluate": _evaluate,
}
