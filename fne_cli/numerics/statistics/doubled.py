"""Numbers of about 106 bits as the unevaluated sum of two float64, the larger first; scalars or arrays.

T. J. Dekker, "A floating-point technique for extending the available precision" (Numerische Mathematik 18, 1971);
names and error bounds as in Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building blocks of
double-word arithmetic" (ACM TOMS 44, 2017).
"""

from __future__ import annotations

from typing import Any

Doubled = tuple[Any, Any]

_SPLIT = 134217729.0  # 2^27 + 1


def two_sum(a: Any, b: Any) -> Doubled:
    """Sum of two float64, rounded, and the exact error."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def fast_two_sum(a: Any, b: Any) -> Doubled:
    """The same for |a| >= |b| or a = 0."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Any, b: Any) -> Doubled:
    """Product of two float64, rounded, and the exact error, for |a|, |b| < 2^996."""
    product = a * b
    a_high = _SPLIT * a - (_SPLIT * a - a)
    b_high = _SPLIT * b - (_SPLIT * b - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def add(a: Doubled, b: Doubled) -> Doubled:
    """Sum of two doubled numbers."""
    high, error = two_sum(a[0], b[0])
    low, error_low = two_sum(a[1], b[1])
    high, error = fast_two_sum(high, error + low)
    return fast_two_sum(high, error + error_low)


def multiply(a: Doubled, b: Doubled) -> Doubled:
    """Product of two doubled numbers."""
    high, error = two_product(a[0], b[0])
    return fast_two_sum(high, error + (a[0] * b[1] + a[1] * b[0]))


def divide(a: Doubled, b: float) -> Doubled:
    """Quotient of a doubled number and a float64."""
    high = a[0] / b
    product, error = two_product(high, b)
    return fast_two_sum(high, (((a[0] - product) - error) + a[1]) / b)
