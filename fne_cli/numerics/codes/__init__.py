"""Ternary codes: encoding, two bit planes, products by counting bits, prototypes."""
