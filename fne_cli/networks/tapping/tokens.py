"""A sequence of tokens as a transformer has it: the class token, registers, and a grid of patches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """before, after: tokens that are no patches, around height x width patches. The class token is the first of all."""

    before: int
    height: int
    width: int
    after: int = 0

    @property
    def has_class(self) -> bool:
        """Whether the first token stands for the whole image."""
        return self.before > 0

    @property
    def patches(self) -> slice:
        """Where the patches are, row by row."""
        return slice(self.before, self.before + self.height * self.width)

    def fit(self, count: int) -> bool:
        """Whether a sequence of `count` tokens is one of these."""
        return count == self.before + self.height * self.width + self.after
