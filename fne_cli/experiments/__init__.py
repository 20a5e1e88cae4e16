"""Whole experiments: a file says what is to be compared, and the steps below do the work."""
