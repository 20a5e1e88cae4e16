"""Classifiers by the means of classes: linear discriminant analysis, and the nearest mean."""
