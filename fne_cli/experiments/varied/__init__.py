"""Experiments with factors: their settings, the jobs that these are, and what is best."""
