"""The rows of images as the classifier gets them, in memory (codes packed) or in a temporary file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.numerics.codes.packed import PackedCodes, Rows, pack, plane_bytes
from fne_cli.numerics.embedding import Embedding, Kind
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.statistics.moments import Sums
from fne_cli.numerics.svm.problem import Problem
from fne_cli.steps.evaluate.task import Task
from fne_cli.store.many.gather import BATCH_BYTES, JoinedLayer, gathered, room
from fne_cli.store.many.joined import JoinedFiles


class Features:
    """Some layers of one or more files as one embedding; `kind` None for codes, which already are one."""

    def __init__(
        self,
        source: JoinedFiles,
        layers: Sequence[JoinedLayer],
        kind: Kind | None,
        thresholds: tuple[float, float],
        task: Task,
        options: dict[str, Any],
    ) -> None:
        self._source, self.layers, self.kind, self._thresholds, self._task = source, layers, kind, thresholds, task
        self._options = options
        self._memory: int = options["memory"]
        self._whole: tuple[np.ndarray, Problem] | None = None
        self.count = sum(layer.features for layer in layers)

    def bytes_of(self, images: int) -> int:
        """What the rows of so many images take."""
        each = 2 * plane_bytes(self.count) if self.kind in (None, "fne") else 4 * self.count
        return images * self._task.crops * each

    def embedding(self, train: np.ndarray) -> Embedding | None:
        """The embedding whose moments are those of the images `train`; None for codes."""
        if self.kind is None:
            return None
        if not Embedding.needs_moments(self.kind):
            return Embedding(self.kind, thresholds=self._thresholds)
        sums = Sums(self.count)
        for _, rows in self._gathered(train):
            sums.add(rows)
        moments = sums.moments()
        return Embedding(self.kind, moments.mean, moments.std, self._thresholds)

    def _gathered(self, images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The rows of images in batches that are small beside the memory. Raises DamagedFile if one is not finite."""
        batch = min(BATCH_BYTES, max(1 << 20, self._memory // 32))
        for span, values in gathered(self.layers, self._task.crops, images, batch):
            if self.kind is not None and not np.isfinite(values).all():
                row = span.start + int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                path = self._source.images.path[int(images[row // self._task.crops])]
                raise DamagedFile(
                    f"{self._source.name} should have finite activations. Found: infinity or not a number in those of "
                    f"{path}.\nfne verify lists all such rows of a file."
                )
            yield span, values

    def release(self) -> None:
        """Let go of the rows that the trials shared."""
        self._whole = None

    def rows(self, images: np.ndarray, embedding: Embedding | None) -> Rows:
        """The rows of images, ascending numbers: PackedCodes, or (rows, features) float32."""
        count = len(images) * self._task.crops
        encode = embedding.encoder() if embedding is not None else None
        if embedding is None or embedding.kind == "fne":
            planes = room((count, 2, plane_bytes(self.count)), np.uint8, self._memory // 4)
            for span, values in self._gathered(images):
                pack(values if encode is None else encode(values), planes[span])
            return PackedCodes(planes[:, 0], planes[:, 1], self.count)
        out = room((count, self.count), np.float32, self._memory // 4)
        for span, values in self._gathered(images):
            out[span] = values if encode is None else encode(values)
        return out

    def problem(self, trial: Trial, shared: bool) -> tuple[np.ndarray, Problem, Embedding | None]:
        """The images of a trial (at least), ascending, the problem that their rows are, and how these were made.

        Codes are the same for all trials: there it is one problem, of all images. Other embeddings are made anew, with
        the moments of the trial's training images.
        """
        if self.kind is not None:
            embedding = self.embedding(trial.train)
            return trial.images, self._problem(trial.images, embedding, [trial] if shared else []), embedding
        if self._whole is None:
            images, trials = self._task.images, self._task.trials
            self._whole = images, self._problem(images, None, trials if shared or len(trials) > 1 else [])
        return *self._whole, None

    def _problem(self, images: np.ndarray, embedding: Embedding | None, shared: Sequence[Trial]) -> Problem:
        """The rows of images; those that these trials learn from, and choose C with, share a Gram matrix."""
        crops = self._task.crops
        learnt = [np.concatenate([trial.train, trial.validation]) for trial in shared]
        places = np.searchsorted(images, np.unique(np.concatenate(learnt))) if learnt else np.empty(0, np.int64)
        numbers = (places[:, None] * crops + np.arange(crops)).ravel()
        rows = self.rows(images, embedding)
        return Problem(rows, self._task.row_labels(images), shared=numbers, **self._options)
