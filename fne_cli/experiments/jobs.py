"""One call of one step: what it reads, what it writes, the command line that does the same, and the doing."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fne_cli.errors import DifferentOutput
from fne_cli.experiments.written.config import Options
from fne_cli.images.lists.manifest import LABEL
from fne_cli.options import taken
from fne_cli.progress import SILENT, Progress
from fne_cli.tasks.engine import Cluster


@dataclass(frozen=True)
class Execution:
    """How jobs are done: whether files of other settings are replaced, by whom, and who is told."""

    overwrite: bool = False
    cluster: Cluster | None = None
    progress: Progress = SILENT


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

    @property
    def label_column(self) -> str:
        """Where a manifest of its images has their classes."""
        return str(self.options.get("label_column", LABEL))

    def words(self, options: Options) -> list[str]:
        """The command line that makes the same files."""
        words = ["fne", self.command, *self.arguments]
        for key, value in self.options.items():
            words += _words(options[self.command][key].flag, key, value)
        return words

    def line(self, options: Options) -> str:
        """The same for a shell."""
        return shlex.join(self.words(options))

    def perform(self, execution: Execution) -> None:
        """Make the outputs, or see that they are there; what is up to date stays, with `overwrite`, too.

        Raises the errors of fne_cli.errors.
        """
        step = _STEPS[self.command]
        try:
            step(self.arguments, dict(self.options), replace(execution, overwrite=False))
        except DifferentOutput:
            if not execution.overwrite:
                raise
            step(self.arguments, dict(self.options), execution)


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


def _sample(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.sample import sample

    dataset: Any  # one of those that config.py knows
    dataset, folder = arguments
    sample(dataset, Path(folder), **options, overwrite=how.overwrite, progress=how.progress)


def _split(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.split import split

    images, manifest = arguments
    split(images, Path(manifest), **options, overwrite=how.overwrite, progress=how.progress)


def _extract(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.extract import Recipe, RunOptions, extract

    images, activations = arguments
    recipe, run = taken(Recipe, options), replace(taken(RunOptions, options), overwrite=how.overwrite)
    extract(images, Path(activations), recipe, run, **options, cluster=how.cluster, progress=how.progress)


def train_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `fne train` as its step takes them."""
    from fne_cli.steps.train import Course, Rule, Selection, Start, TrainOptions

    return {
        "start": taken(Start, options),
        "rule": taken(Rule, options),
        "course": taken(Course, options),
        "selection": taken(Selection, options),
        "options": taken(TrainOptions, options),
        **options,
    }


def _train(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.train import train

    images, network = arguments
    given = train_options(options)
    given["options"] = replace(given["options"], overwrite=how.overwrite)
    train(images, Path(network), **given, progress=how.progress)


def _normalize(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.normalize import normalize

    paths = (Path(argument) for argument in arguments)
    normalize(*paths, **options, overwrite=how.overwrite, cluster=how.cluster, progress=how.progress)


def _discretize(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.discretize import discretize

    paths = (Path(argument) for argument in arguments)
    discretize(*paths, **options, overwrite=how.overwrite, cluster=how.cluster, progress=how.progress)


def _analyze(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.analyze import analyze

    paths = (Path(argument) for argument in arguments)
    analyze(*paths, **options, overwrite=how.overwrite, cluster=how.cluster, progress=how.progress)


def _reduce(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.reduce import ReductionOptions, reduce

    activations, projection = (Path(argument) for argument in arguments)
    chosen = taken(ReductionOptions, options)
    reduce(activations, projection, chosen, **options, overwrite=how.overwrite, progress=how.progress)


def _rank(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.rank import rank

    rank([Path(argument) for argument in arguments], **options, overwrite=how.overwrite, progress=how.progress)


def _evaluate(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.evaluate import ClassifierOptions, FeatureOptions, Protocol, evaluate

    features, results = (Path(argument) for argument in arguments)
    chosen, protocol = taken(FeatureOptions, options), taken(Protocol, options)
    evaluate(
        features,
        results,
        chosen,
        protocol,
        taken(ClassifierOptions, options),
        **options,
        overwrite=how.overwrite,
        cluster=how.cluster,
        progress=how.progress,
    )


def _tune(arguments: tuple[str, ...], options: dict[str, Any], how: Execution) -> None:
    from fne_cli.steps.tune import LearningOptions, Protocol, Tuned, TuneOptions, tune

    images, results = arguments
    tuned, learning, protocol = taken(Tuned, options), taken(LearningOptions, options), taken(Protocol, options)
    run = replace(taken(TuneOptions, options), overwrite=how.overwrite)
    tune(images, Path(results), tuned, learning, protocol, run, **options, progress=how.progress)


_STEPS: dict[str, Callable[[tuple[str, ...], dict[str, Any], Execution], None]] = {
    "sample": _sample,
    "split": _split,
    "train": _train,
    "extract": _extract,
    "normalize": _normalize,
    "discretize": _discretize,
    "analyze": _analyze,
    "reduce": _reduce,
    "rank": _rank,
    "evaluate": _evaluate,
    "tune": _tune,
}
