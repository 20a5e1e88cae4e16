"""Networks and weights in files from anywhere, read with distrust."""
