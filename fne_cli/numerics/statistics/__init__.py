"""What is computed over all rows: moments, and the behavior of features."""
