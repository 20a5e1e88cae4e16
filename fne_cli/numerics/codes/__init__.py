"""Ternary codes: encoding, two bit planes, products by counting bits, prototypes."""

LOW, HIGH = -0.25, 0.15
"""The published thresholds of z-scores (Garcia-Gasulla et al., arXiv 1705.07706): below is -1, above 1."""
