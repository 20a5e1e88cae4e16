"""Figures that matplotlib draws, as PNG and SVG; the page and LaTeX stand above."""
