"""A network on batches of images: rows that keep their bits, batches that fit the memory, speed and energy."""
