"""The rows of images as the classifier gets them, in memory (codes packed) or in a temporary file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, DoesNotFit
from fne_cli.numerics.codes.packed import PackedCodes, Rows, pack, plane_bytes
from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.evaluation.protocols import Trial
from fne_cli.numerics.svm.problem import Problem, SolverOptions
from fne_cli.numerics.svm.remote import Remote
from fne_cli.store.many.gather import BATCH_BYTES, allocate, gathered
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.pooled import Layer
from fne_cli.trials.classification import ClassificationTask


class Features:
    """Some layers of one or more files as one embedding; `kind` None for codes, which already are one.

    inputs: their features; count: the columns that the classifier gets. remote: solves blocks of classes of every fit,
    if it is given before the first.
    """

    def __init__(
        self,
        source: JoinedFiles,
        layers: Sequence[Layer],
        kind: type[Embedding] | None,
        thresholds: tuple[float, float],
        task: ClassificationTask,
        solver: SolverOptions,
    ) -> None:
        self._source, self.layers, self.kind, self._thresholds, self._task = source, layers, kind, thresholds, task
        self._solver = solver
        self.remote: Remote | None = None
        self._whole: tuple[np.ndarray, Problem, Embedding | None] | None = None
        self.inputs = sum(self.widths)
        self.count = self.inputs if kind is None else kind.columns(self.inputs)

    def made_by(self, kind: type[Embedding]) -> Features:
        """The same layers as another embedding."""
        return Features(self._source, self.layers, kind, self._thresholds, self._task, self._solver)

    def bytes_of(self, images: int) -> int:
        """What the rows of so many images take."""
        each = 2 * plane_bytes(self.count) if self.kind is None else self.kind.row_bytes(self.count)
        return images * self._task.crops * each

    def check(self, rows: int) -> None:
        """Raises BadInput if so many training rows cannot have so many principal components."""
        most = min(rows - 1, self.inputs)
        if self.kind is not None and not self.kind.fixed and "axes" in self.kind.arrays and self.count > most:
            raise BadInput(
                f"{self._source.name}: pca:{self.count} should be at most pca:{max(1, most)}. Found: {rows:,} training "
                f"rows of {self.inputs:,} features."
            )

    def fit_bytes(self, rows: int) -> int:
        """What fitting the embedding to so many rows takes. Raises DoesNotFit if that is more than the memory."""
        needed = 0 if self.kind is None else self.kind.fit_bytes(rows, self.inputs, max(self.widths))
        if needed > self._solver.memory:
            raise DoesNotFit(
                f"Fitting the embedding to {rows:,} rows of {self.inputs:,} features should take at most "
                f"{self._solver.memory / 2**20:,.1f} MiB. It takes {needed / 2**20:,.1f} MiB. Allow more memory, or "
                "take fewer layers, or an embedding without pca and aligned."
            )
        return needed

    def embedding(self, train: np.ndarray) -> Embedding | None:
        """The embedding fitted to the images `train`; None for codes."""
        if self.kind is None:
            return None
        return self.kind.fit(_Batches(self, train), self.widths, self._thresholds, self._task.row_labels(train))

    @property
    def fingerprints(self) -> list[str]:
        """Of the files."""
        return [source["fingerprint"] for source in self._source.sources()]

    @property
    def widths(self) -> list[int]:
        """How many features each layer has."""
        return [layer.features for layer in self.layers]

    def gathered(self, images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The rows of images in batches that are small beside the memory. Raises DamagedFile if one is not finite."""
        batch = min(BATCH_BYTES, max(1 << 20, self._solver.memory // 32))
        for span, values in gathered(self.layers, self._task.crops, images, batch):
            if self.kind is not None and not np.isfinite(values).all():
                row = span.start + int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                path = self._source.images.path[int(images[row // self._task.crops])]
                raise DamagedFile(
                    f"{self._source.name} should have finite activations. Found: infinity or not a number in those of "
                    f"{path}.\nfne verify lists all such rows of a file."
                )
            yield span, values

    def encoded(self, images: np.ndarray, embedding: Embedding) -> Problem:
        """The problem that the rows of images, ascending numbers, are when an embedding of this kind made them."""
        return self._problem(images, embedding, [])

    def release(self) -> None:
        """Let go of the rows that the trials shared."""
        self._whole = None

    def rows(self, images: np.ndarray, embedding: Embedding | None) -> Rows:
        """The rows of images, ascending numbers: PackedCodes, or (rows, features) float32."""
        count, memory = len(images) * self._task.crops, self._solver.memory // 4
        if embedding is None or embedding.dtype == np.int8:
            planes = allocate((count, 2, plane_bytes(self.count)), np.uint8, memory)
            for span, values in self.gathered(images):
                pack(values if embedding is None else embedding.encode(values), planes[span])
            return PackedCodes(planes[:, 0], planes[:, 1], self.count)
        out = allocate((count, self.count), embedding.dtype, memory)
        for span, values in self.gathered(images):
            out[span] = embedding.encode(values)
        return out

    def problem(
        self, trial: Trial, shared: bool, products: bool = False
    ) -> tuple[np.ndarray, Problem, Embedding | None]:
        """The images of a trial (at least), ascending, the problem that their rows are, and how these were made.

        Codes are the same for all trials, and so is what an embedding makes that learns nothing: there it is one
        problem, of all images. Other embeddings are made anew, with the moments of the trial's training images. shared:
        whether several fits follow on the trial's training images. products: whether a fit may need those of the rows.
        """
        if not self._same_for_all or (shared and self.kind is not None):
            embedding = self.embedding(trial.train)
            return trial.images, self._problem(trial.images, embedding, [trial] if shared else [], shared), embedding
        if self._whole is None:
            images, trials = self._task.images, self._task.trials
            embedding = self.embedding(trial.train)
            common = trials if shared or (len(trials) > 1 and (products or self.kind is None)) else []
            self._whole = images, self._problem(images, embedding, common, shared), embedding
        return self._whole

    @property
    def _same_for_all(self) -> bool:
        """Whether the rows do not depend on what is trained on."""
        return self.kind is None or self.kind.fixed or not self.kind.arrays

    def _problem(
        self, images: np.ndarray, embedding: Embedding | None, common: Sequence[Trial], several: bool = False
    ) -> Problem:
        """The rows of images; those that `common` trials learn from, and choose C with, share a Gram matrix.

        several: whether each of them has several fits.
        """
        crops = self._task.crops
        learnt = [np.concatenate([trial.train, trial.validation]) for trial in common]
        places = np.searchsorted(images, np.unique(np.concatenate(learnt))) if learnt else np.empty(0, np.int64)
        numbers = (places[:, None] * crops + np.arange(crops)).ravel()
        rows, labels = self.rows(images, embedding), self._task.row_labels(images)
        return Problem(rows, labels, self._solver, shared=numbers, several=several, remote=self.remote)


@dataclass(frozen=True)
class _Batches:
    """The rows of images in batches, read again whenever somebody begins with them."""

    features: Features
    images: np.ndarray

    @property
    def identity(self) -> tuple[str, ...]:
        """Which rows they are."""
        images = hashlib.sha256(np.ascontiguousarray(self.images, np.int64).data).hexdigest()
        layers = (f"{layer.name} {layer.features}" for layer in self.features.layers)
        return (*self.features.fingerprints, *layers, images)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (rows for _, rows in self.features.gathered(self.images))
