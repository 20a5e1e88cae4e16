"""Files that are not HDF5: results, classifiers, predictions, tables for other tools, drawings."""
