"""What is unfinished, and what the rest will take, for `--dry-run`."""
