"""A step cut into tasks for an engine: what they read, what they leave on the disk, and the whole of it again."""
