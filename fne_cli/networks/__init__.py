"""Networks by name or file, their weights, taps and pooling. The only room that touches Keras models."""
