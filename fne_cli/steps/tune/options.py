"""What `fne tune` is told: how the network learns, and what changes no number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from fne_cli.errors import WrongOptions
from fne_cli.images.augmented import spelled
from fne_cli.images.pixels.geometry import MAX_PIXELS
from fne_cli.networks.trained.trainer import Rule
from fne_cli.training.course import Course

RATES, SCRATCH_RATES = (0.00003, 0.0001, 0.0003), (0.01, 0.03)
COSTS = (0.001, 0.01, 0.1)


@dataclass(frozen=True)
class Candidate:
    """A learning rate and a weight decay that may be chosen."""

    learning_rate: float
    weight_decay: float

    def __str__(self) -> str:
        return f"learning rate {self.learning_rate:g}, weight decay {self.weight_decay:g}"

    def described(self) -> dict[str, float]:
        """As the results have it."""
        return {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class LearningOptions:
    """How it learns; the options of `fne tune` of these names, most of which mean what they mean to `fne train`.

    head: how the new classifier begins: as the SVM of one of the costs, or drawn; None for svm, or random from scratch.
    learning_rate: None for RATES, or SCRATCH_RATES. Of several rates, decays and costs the best are chosen.
    """

    head: Literal["svm", "random"] | None = None
    cost: Sequence[float] = COSTS
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Sequence[float] | None = None
    momentum: float = 0.9
    weight_decay: Sequence[float] = (5e-4,)
    label_smoothing: float = 0.0
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    epochs: int = 10
    batch_size: int = 32
    augment: Sequence[str] = ()
    resize: Literal["squash", "crop"] = "squash"
    seed: int = 0

    def settled(self, scratch: bool) -> LearningOptions:
        """With all that has a default that depends on others. Raises WrongOptions, BadInput."""
        if scratch and self.head == "svm":
            raise WrongOptions("--head svm is fitted to features that were learned elsewhere. --scratch has none.")
        self.course.check()
        head = self.head or ("random" if scratch else "svm")
        if head == "random" and tuple(self.cost) != COSTS:
            raise WrongOptions("-C is the cost of --head svm. Found: --head random.")
        costs = tuple(dict.fromkeys(self.cost)) if head == "svm" else COSTS[:1]
        rates = self.learning_rate or (SCRATCH_RATES if scratch else RATES)
        decays = tuple(dict.fromkeys(self.weight_decay))
        return replace(
            self, head=head, cost=costs, learning_rate=tuple(dict.fromkeys(rates)),
            weight_decay=decays, augment=spelled(self.augment),
        )  # fmt: skip

    @property
    def course(self) -> Course:
        """How long, and by what batches."""
        return Course(self.epochs, self.batch_size, tuple(self.augment), None, self.resize)

    @property
    def candidates(self) -> list[Candidate]:
        """All that may be chosen, in the order in which they were given."""
        return [Candidate(*pair) for pair in product(self.learning_rate or (), self.weight_decay)]

    def rule(self, candidate: Candidate) -> Rule:
        """How weights learn by one of them."""
        return Rule(
            self.optimizer, candidate.learning_rate, self.momentum, candidate.weight_decay, self.label_smoothing,
            self.schedule,
        )  # fmt: skip

    def described(self) -> dict[str, Any]:
        """What the results say of it."""
        own = {"learning_rate": list(self.learning_rate or ()), "weight_decay": list(self.weight_decay)}
        names = ("head", "optimizer", "momentum", "label_smoothing", "schedule", "epochs", "batch_size", "resize")
        found = {name: getattr(self, name) for name in names} | own | {"augment": list(self.augment)}
        if self.head == "svm":
            found["C"] = self.cost[0] if len(self.cost) == 1 else list(self.cost)
        return found


@dataclass(frozen=True)
class TuneOptions:
    """The options of `fne tune` of these names that change no number, as TrainOptions has them."""

    workers: int | None = None
    memory: int | None = None
    cache: int = 8 << 30
    max_pixels: int = MAX_PIXELS
    max_bad: str = "0"
    overwrite: bool = False
