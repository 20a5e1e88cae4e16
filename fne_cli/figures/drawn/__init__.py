"""Figures that matplotlib draws, as PNG, SVG and, for the page, PDF; the page itself stands above."""
