"""What fne report writes: figures, tables and CSV in files of their own, and whether the page may be replaced."""
