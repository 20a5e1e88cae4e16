"""Words -> one keyword call. One module per command; the only room that touches click and tqdm."""
