"""Several files read as one, row by row in threads."""
