"""What an evaluation is told: which features, by which protocol, with which classifier."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fne_cli.errors import WrongOptions
from fne_cli.numerics.classifiers import (
    OWNERS,
    RECIPES,
    Classifier,
    Recipe,
    foreign,
    kind_of,
    neighbours_of,
    spelled,
)
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.discriminant.lda import SHRINKAGES
from fne_cli.numerics.evaluation.metrics import Aggregate
from fne_cli.numerics.evaluation.regions import Together
from fne_cli.numerics.neighbours.nearest import TEMPERATURE
from fne_cli.numerics.recipes.candidates import BUDGET
from fne_cli.numerics.ridge.solver import PENALTIES
from fne_cli.numerics.svm.problem import Solver, SolverOptions
from fne_cli.trials.protocol import Protocol


@dataclass(frozen=True)
class FeatureOptions:
    """Which features are measured, as `fne evaluate` describes the options of these names."""

    layers: Sequence[str] = ()
    embedding: str | None = None
    projection: Path | None = None
    thresholds: tuple[float, float] | Path = (LOW, HIGH)
    each_layer: bool = False
    pool: str | None = None


@dataclass(frozen=True)
class ClassifierOptions:
    """How a classifier is trained, as `fne evaluate` describes the options of these names. memory: bytes.

    cost and tolerance are those of the SVM and of logistic regression, relative_cost says that C is in units of 1 / the
    mean squared distance of the training rows from their mean. solver is the SVM's, penalty that of ridge, shrinkage
    that of lda, temperature that of knn: with infinity all votes are alike. regions: what is made of the decision
    values of a picture's regions, None to measure regions. recipe: what chooses the embedding, too, instead of all
    these; budget: seconds that a training may take to choose, at the rate of `Costed`.
    """

    classifier: str = "svm"
    cost: Sequence[float] = (1.0,)
    relative_cost: bool = False
    penalty: Sequence[float] = PENALTIES
    shrinkage: Literal["auto"] | Sequence[float] = SHRINKAGES
    temperature: float = TEMPERATURE
    aggregate: Aggregate = "vote"
    regions: Together | None = None
    solver: Solver = "certified"
    tolerance: float = 1e-5
    memory: int | None = None
    seed: int = 0
    recipe: Recipe | None = None
    budget: float = BUDGET

    @property
    def kind(self) -> Classifier:
        """The classifier, without the number of neighbours."""
        return kind_of(self.classifier)

    @property
    def neighbours(self) -> int:
        """How many neighbours vote."""
        return neighbours_of(self.classifier)

    @property
    def told_temperature(self) -> float | str:
        """As JSON has it, which has no infinity."""
        return "inf" if math.isinf(self.temperature) else self.temperature

    @property
    def costs(self) -> list[float]:
        """The values of C, ascending."""
        return sorted(set(self.cost))

    @property
    def penalties(self) -> list[float]:
        """The penalties, ascending."""
        return sorted(set(self.penalty))

    @property
    def shrinkages(self) -> list[float]:
        """The shrinkages, ascending; none where the training rows say it."""
        return [] if self.shrinkage == "auto" else sorted({float(one) for one in self.shrinkage})

    @property
    def tried(self) -> int:
        """How many values of an option have to be compared by fits of their own."""
        if self.kind in ("svm", "logistic"):
            return len(self.costs)
        return max(1, len(self.shrinkages)) if self.kind == "lda" else 1

    def check(self) -> None:
        """Raises WrongOptions for what the classifier, or the recipe, does not have."""
        self._check_recipe()
        spelled(self.classifier)
        usual = ClassifierOptions()
        for name, other in foreign(self.classifier).items():
            if getattr(self, name) != getattr(usual, name):
                option = f"--{name.replace('_', '-')}"
                raise WrongOptions(f"{option} goes with --classifier {other}. Found: --classifier {self.classifier}.")
        if not self.temperature > 0:
            raise WrongOptions(f"--temperature should be above 0, inf for equal votes. Found: {self.temperature}.")
        if isinstance(self.shrinkage, str):
            if self.shrinkage != "auto":
                raise WrongOptions(f"--shrinkage should be auto, or numbers above 0 up to 1. Found: {self.shrinkage}.")
        elif not self.shrinkages or not all(0 < one <= 1 for one in self.shrinkages):
            found = ", ".join(map(str, self.shrinkage)) or "none"
            raise WrongOptions(f"--shrinkage should be auto, or numbers above 0 up to 1. Found: {found}.")

    def _check_recipe(self) -> None:
        usual = ClassifierOptions()
        if self.recipe not in (None, *RECIPES):
            raise WrongOptions(f"--recipe should be {' or '.join(RECIPES)}. Found: {self.recipe}.")
        if self.budget != usual.budget and self.recipe != "auto":
            raise WrongOptions("--budget goes with --recipe auto. Give that, too, or leave --budget out.")
        for name in ("classifier", *OWNERS):
            if self.recipe is not None and getattr(self, name) != getattr(usual, name):
                raise WrongOptions(
                    f"--recipe says which classifier there is. Leave it out, or --{name.replace('_', '-')}."
                )


@dataclass(frozen=True)
class FitPlan:
    """All that a process needs to do the fits of an evaluation, this one or a worker's.

    layers: names. embedding: of activations; None for each layer alone. thresholds: low and high of ternary codes.
    pool: avg for the averages over maps, of a file that has those over cells. projection: the file that has the
    embedding, fitted; it is not fitted to training rows then.
    """

    layers: Sequence[str]
    embedding: str | None
    each_layer: bool
    thresholds: tuple[float, float]
    protocol: Protocol
    classifier: ClassifierOptions
    solver: SolverOptions
    pool: str | None = None
    projection: Path | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it; paths are absolute."""
        split = self.protocol.split and os.path.abspath(self.protocol.split)
        projection = self.projection and os.path.abspath(self.projection)
        return {**asdict(self), "protocol": {**asdict(self.protocol), "split": split}, "projection": projection}

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> FitPlan:
        """The same again."""
        protocol = dict(values["protocol"])
        split, sizes = protocol["split"] and Path(protocol["split"]), tuple(protocol["per_class"])
        return cls(**{
            **values,
            "thresholds": tuple(values["thresholds"]),
            "protocol": Protocol(**{**protocol, "split": split, "per_class": sizes}),
            "classifier": ClassifierOptions(**values["classifier"]),
            "solver": SolverOptions(**values["solver"]),
            "projection": values["projection"] and Path(values["projection"]),
        })  # fmt: skip
