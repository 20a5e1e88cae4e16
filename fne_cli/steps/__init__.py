"""One module per command: files in, one file out; the order of the work, nothing else."""
