"""What makes an image bad, how many such are acceptable, and how to speak of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fne_cli.errors import BadInput
from fne_cli.unprintable import plain

if TYPE_CHECKING:
    from fractions import Fraction

_NAMED = 5


class Status(enum.IntEnum):
    """Why an image has no features. The numbers are part of the file format."""

    GOOD = 0
    EMPTY = 1
    MISSING = 2
    UNREADABLE = 3
    NOT_AN_IMAGE = 4
    DAMAGED = 5
    TOO_LARGE = 6
    UNSUPPORTED = 7
    BOX_OUTSIDE = 8
    NOT_FINITE = 9  # the network's own doing


class BadImage(Exception):
    """An image without features: its status, and a message that names what was found."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Allowed:
    """`--max-bad`: a number of images, or a share of all of them."""

    EXPECTED: ClassVar[str] = "a number of images (7) or a share of them (0.5%)"

    text: str
    number: Fraction | int
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """From `7` or `0.5%`. Raises BadInput."""
        match = re.fullmatch(r"(\d{1,18})|(\d{1,3}(?:\.\d{1,18})?)%", text.strip(), re.ASCII)
        if match and match[1]:
            return cls(text.strip(), int(match[1]), is_share=False)
        from fractions import Fraction  # with decimals, for those who need them

        if not match or Fraction(match[2]) > 100:
            raise BadInput(f"--max-bad should be {cls.EXPECTED}. Found: {text!r}.")
        return cls(text.strip(), Fraction(match[2]), is_share=True)

    def limit(self, images: int) -> int:
        """The largest acceptable number of bad images among `images`."""
        return int(images * self.number / 100 if self.is_share else self.number)


def bad_summary(bad: Sequence[tuple[str, str]], images: int) -> str:
    """`3 of 120 images are bad:` and the first few, one a line, with what was wrong."""
    lines = [f"{len(bad):,} of {images:,} images {'is' if len(bad) == 1 else 'are'} bad:"]
    lines += [f"  {plain(path)}: {plain(message)}" for path, message in bad[:_NAMED]]
    if len(bad) > _NAMED:
        lines.append(f"  and {len(bad) - _NAMED:,} more")
    return "\n".join(lines)
