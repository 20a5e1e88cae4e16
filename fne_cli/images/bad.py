"""How many bad images are acceptable, and how to speak of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fne_cli.errors import BadInput

_NAMED = 5


@dataclass(frozen=True)
class Allowed:
    """`--max-bad`: a number of images, or a share of all of them."""

    text: str
    number: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """From `7` or `0.5%`. Raises BadInput."""
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text.strip())
        if not match or (match[2] and float(match[2]) > 100):
            raise BadInput(f"--max-bad should be a number of images (7) or a share of them (0.5%). Found: {text!r}.")
        return cls(text.strip(), float(match[1] or match[2]), match[2] is not None)

    def limit(self, images: int) -> int:
        """The largest acceptable number of bad images among `images`."""
        return int(images * self.number / 100) if self.is_share else int(self.number)


def bad_summary(bad: Sequence[tuple[str, str]], images: int) -> str:
    """`3 of 120 images are bad:` and the first few, one a line, with what was wrong."""
    lines = [f"{len(bad):,} of {images:,} images {'is' if len(bad) == 1 else 'are'} bad:"]
    lines += [f"  {path}: {message}" for path, message in bad[:_NAMED]]
    if len(bad) > _NAMED:
        lines.append(f"  and {len(bad) - _NAMED:,} more")
    return "\n".join(lines)
