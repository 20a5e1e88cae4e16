"""Vocabularies of local descriptors: how they are learned, and what becomes of an image by one."""
