"""Trials of an evaluation, and how well a classifier did in them."""
