"""Files: the format, outputs that appear whole, several files as one, and the other kinds of files."""
