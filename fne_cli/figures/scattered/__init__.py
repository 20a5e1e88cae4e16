"""Images as points in the plane, on a page."""
