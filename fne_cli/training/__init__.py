"""Training a network in this process: what it is given, and the epochs, from a checkpoint or the beginning."""
