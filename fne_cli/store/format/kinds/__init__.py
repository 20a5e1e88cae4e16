"""Reading files of kinds that are no rows of images: behavior, projections, vocabularies."""
