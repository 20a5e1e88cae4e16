"""The rows of files as vectors that can be compared with each other: codes, or an embedding of activations."""
