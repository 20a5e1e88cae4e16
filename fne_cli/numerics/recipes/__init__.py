"""The recipe `auto`: which embedding, by what is said of training images that are left out."""
