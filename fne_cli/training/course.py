"""How long a network learns, from what batches, and when it stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fne_cli.errors import WrongOptions


@dataclass(frozen=True)
class Course:
    """The options of `fne train` of these names that change the weights, beside where it starts and how it learns.

    max_epochs: of the `epochs` that the schedule is made for, so many are done. patience: epochs without a better
    validation accuracy after which it stops; then the weights are those of the best epoch, else those of the last.
    """

    epochs: int = 30
    batch_size: int = 64
    augment: Sequence[str] = ()
    patience: int | None = None
    resize: Literal["squash", "crop"] = "squash"
    max_epochs: int | None = None

    @property
    def last(self) -> int:
        """The epoch after which it ends, if not earlier."""
        return self.epochs if self.max_epochs is None else min(self.epochs, self.max_epochs)

    def check(self) -> None:
        """Raises WrongOptions for numbers that are none of what they should be."""
        counts = (self.epochs, self.batch_size, self.patience, self.max_epochs)
        if any(count is not None and count < 1 for count in counts):
            raise WrongOptions("--epochs, --max-epochs, --batch-size and --patience should be 1 or more.")
