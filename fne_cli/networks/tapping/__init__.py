"""Where a network is tapped, and how maps and tokens become rows."""
