"""How much rows say about classes without training a classifier, and how alike two kinds of rows are."""
