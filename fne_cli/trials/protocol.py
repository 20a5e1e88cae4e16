"""By which images a comparison trains and measures, as its commands are told."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.store.output.noted import check_noted


@dataclass(frozen=True)
class Protocol:
    """Which images are trained on and measured, as `fne evaluate` describes the options of these names.

    without_leaks: whether test images that are training images by their bytes are left out.
    """

    split: Path | None = None
    cv: int | None = None
    rows: str | None = None
    per_class: tuple[int, ...] = ()
    draws: int = 5
    without_leaks: bool = False

    def described(self) -> dict[str, Any]:
        """What of it tells two results apart; the split's content is in the sources."""
        own = {key: value for key, value in asdict(self).items() if key != "split" and value not in (None, ())}
        if not self.per_class:
            own.pop("draws")
        if not self.without_leaks:  # results of before do not have it
            own.pop("without_leaks")
        return {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}

    def check(self) -> None:
        """Raises WrongOptions for those that do not go together."""
        if self.cv is not None and (self.per_class or self.split is not None):
            raise WrongOptions("--cv makes its own splits. Leave out --per-class and --split, or --cv.")
        if self.rows is not None and self.cv is None:
            raise WrongOptions("--rows says which images --cv divides. Give --cv too, or leave --rows out.")

    def sources(self) -> list[dict[str, str]]:
        """The manifest of --split, by its content. Raises BadInput, DamagedFile."""
        if self.split is None:
            return []
        check_noted(self.split)
        try:
            content = self.split.read_bytes()
        except OSError as error:
            raise BadInput(
                f"--split {self.split} should be a manifest that can be read. Found: {error.strerror}."
            ) from error
        return [{"kind": "split", "fingerprint": hashlib.sha256(content).hexdigest()}]
