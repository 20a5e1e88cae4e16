"""What an evaluation is told: which features, by which protocol, with which classifier."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import WrongOptions
from fne_cli.numerics.classifiers import OWN, Classifier, foreign
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.evaluation.metrics import Aggregate
from fne_cli.numerics.ridge.solver import PENALTIES
from fne_cli.numerics.svm.problem import Solver, SolverOptions


@dataclass(frozen=True)
class FeatureOptions:
    """Which features are measured, as `fne evaluate` describes the options of these names."""

    layers: Sequence[str] = ()
    embedding: str | None = None
    thresholds: tuple[float, float] | Path = (LOW, HIGH)
    each_layer: bool = False
    pool: str | None = None


@dataclass(frozen=True)
class Protocol:
    """Which images are trained on and measured, as `fne evaluate` describes the options of these names."""

    split: Path | None = None
    cv: int | None = None
    rows: str | None = None
    per_class: tuple[int, ...] = ()
    draws: int = 5

    def described(self) -> dict[str, Any]:
        """What of it tells two results apart; the split's content is in the sources."""
        own = {key: value for key, value in asdict(self).items() if key != "split" and value not in (None, ())}
        if not self.per_class:
            own.pop("draws")
        return {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}


@dataclass(frozen=True)
class ClassifierOptions:
    """How a classifier is trained, as `fne evaluate` describes the options of these names. memory: bytes.

    cost, solver and tolerance are the SVM's, penalty is that of ridge.
    """

    classifier: Classifier = "svm"
    cost: Sequence[float] = (1.0,)
    penalty: Sequence[float] = PENALTIES
    aggregate: Aggregate = "vote"
    solver: Solver = "certified"
    tolerance: float = 1e-5
    memory: int | None = None
    seed: int = 0

    @property
    def costs(self) -> list[float]:
        """The values of C, ascending."""
        return sorted(set(self.cost))

    @property
    def penalties(self) -> list[float]:
        """The penalties, ascending."""
        return sorted(set(self.penalty))

    def check(self) -> None:
        """Raises WrongOptions for what the classifier does not have."""
        if self.classifier not in OWN:
            raise WrongOptions(f"--classifier should be {' or '.join(OWN)}. Found: {self.classifier}.")
        usual = ClassifierOptions()
        for name, other in foreign(self.classifier).items():
            if getattr(self, name) != getattr(usual, name):
                raise WrongOptions(f"--{name} goes with --classifier {other}. Found: --classifier {self.classifier}.")


@dataclass(frozen=True)
class FitPlan:
    """All that a process needs to do the fits of an evaluation, this one or a worker's.

    layers: names. embedding: of activations; None for each layer alone. thresholds: low and high of ternary codes.
    pool: avg for the averages over maps, of a file that has those over cells.
    """

    layers: Sequence[str]
    embedding: str | None
    each_layer: bool
    thresholds: tuple[float, float]
    protocol: Protocol
    classifier: Classifier
    costs: Sequence[float]
    penalties: Sequence[float]
    aggregate: Aggregate
    solver: SolverOptions
    pool: str | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it; paths are absolute."""
        split = self.protocol.split and os.path.abspath(self.protocol.split)
        return {**asdict(self), "protocol": {**asdict(self.protocol), "split": split}}

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> FitPlan:
        """The same again."""
        protocol = dict(values["protocol"])
        split, sizes = protocol["split"] and Path(protocol["split"]), tuple(protocol["per_class"])
        return cls(**{
            **values,
            "thresholds": tuple(values["thresholds"]),
            "protocol": Protocol(**{**protocol, "split": split, "per_class": sizes}),
            "solver": SolverOptions(**values["solver"]),
        })  # fmt: skip
