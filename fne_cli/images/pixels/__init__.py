"""From the bytes of a file to pixels, or to why there are none."""
