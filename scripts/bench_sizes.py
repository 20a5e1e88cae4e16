"""How much a benchmark needs to measure anything: a type of argparse's, which says so where less is given."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def at_least(least: int, why: str = "") -> Callable[[str], int]:
    """An argument's type: a whole number from `least` on. `why` says what fewer could not show."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            reason = f" ({why})" if why else ""
            raise argparse.ArgumentTypeError(f"should be a number, at least {least:,}{reason}. Found: {text}.")
        return value

    return number
