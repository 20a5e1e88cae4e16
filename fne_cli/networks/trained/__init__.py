"""Networks that are trained here: built, copied into, stepped, and written."""
