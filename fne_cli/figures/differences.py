"""Differences between two rows as a reader sees them: points, their interval, and how likely they are by chance."""

from __future__ import annotations

from fne_cli.figures.contents import Difference
from fne_cli.figures.experiments import FactorGain


def signed(value: float) -> str:
    """A fraction in points, with its sign."""
    text = f"{100 * value:+.2f}".replace("-", "−")
    return text if text not in ("+0.00", "−0.00") else "0.00"


def interval(difference: Difference | FactorGain) -> str:
    """From where to where it may be, in points; "" if that is not known."""
    low, high = difference.low, difference.high
    return "" if low is None or high is None else f"{signed(low)} to {signed(high)}"


def p_value(p: float | None) -> str:
    """Two digits of it; "" if there is none."""
    if p is None:
        return ""
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}"


def tested(difference: Difference) -> str:
    """What the paired test says, in a sentence."""
    said = "significant" if difference.significant else "not significant"
    whose = "p" if difference.only_first is None else "McNemar's p"
    p = f", {whose} {p_value(difference.p)}"
    return f"Image by image the difference is {said} (95 % interval {interval(difference)} points{p})."
