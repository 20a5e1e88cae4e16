"""Where in an image something is: evidence of the cells of maps, places and boxes, and how good these are."""
