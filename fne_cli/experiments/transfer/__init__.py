"""``fne transfer``: networks that begin with the layers of others, and what becomes of them."""
