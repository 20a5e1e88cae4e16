"""What may stand in the file of an experiment, and reading it."""
