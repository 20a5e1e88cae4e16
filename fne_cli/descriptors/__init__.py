"""Features made by hand instead of learned: local descriptors, what vocabularies make of them, and histograms."""
