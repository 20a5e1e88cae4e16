"""An output while it is made: partial file, journal, record, and whether it is there already."""
