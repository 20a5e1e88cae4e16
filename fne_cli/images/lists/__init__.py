"""Which images there are, and what is said of them: labels, splits, boxes."""
